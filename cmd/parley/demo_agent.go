package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// The demo's agent, and where their pages are if the port is free.
const (
	demoAgentName  = "Demo agent"
	demoAgentEmail = "demo@parley.example"
	demoPages      = "127.0.0.1:8081"
)

// pagesAddress is where the demo serves its pages.
func pagesAddress(ctx context.Context) string {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", demoPages)
	if err != nil {
		return "127.0.0.1:0" // somebody else is there
	}
	_ = l.Close()
	return demoPages
}

// makeAgent makes the account to try the pages with, once, and returns its
// password, which is kept in the data folder.
func (d *demo) makeAgent(ctx context.Context, r *Running, tenant events.TenantID) (password string, err error) {
	file := filepath.Join(d.cfg.DataDir, "demo-password")
	kept, err := os.ReadFile(file) //nolint:gosec // in the data folder
	if err == nil {
		return strings.TrimSpace(string(kept)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the demo's password: %w", err)
	}
	link, err := r.Guard.FirstOwner(ctx, tenant, "")
	if err != nil || link == "" {
		return "", err // people made accounts of their own
	}
	_, code, _ := strings.Cut(link, "#")
	password = strings.ToLower(rand.Text()[:16])
	by := inbox.Actor{Kind: inbox.Anonymous, Name: "demo"}
	if _, err = r.Guard.Accept(ctx, by, code, store.Acceptance{Name: demoAgentName, Email: demoAgentEmail}, password); err != nil {
		return "", err
	}
	return password, os.WriteFile(file, []byte(password+"\n"), 0o600)
}
