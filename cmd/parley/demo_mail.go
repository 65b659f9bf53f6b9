package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"parley/events"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
	"parley/transports/sandbox"
)

// demoMail is the demo's channel at the stand-in for a mail server.
const demoMail = "Sandbox Mail"

// mailAtFile is where the stand-in for a mail server is, in the demo's data
// folder.
func mailAtFile(dir string) string { return filepath.Join(dir, "sandbox-mail.json") }

// loadMailAt is where the stand-in is or was; nothing when there was none.
func loadMailAt(dir string) (at sandbox.MailAt, err error) {
	data, err := os.ReadFile(mailAtFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &at)
	}
	if err != nil {
		return at, fmt.Errorf("reading where the stand-in for a mail server is: %w", err)
	}
	return at, nil
}

// startMail starts the stand-in where the last run had it, if that is free.
func (d *demo) startMail(ctx context.Context) error {
	at, err := loadMailAt(d.cfg.DataDir)
	if err != nil {
		return err
	}
	if d.mail, err = sandbox.NewMail(sandbox.MailOptions{}); err != nil {
		return fmt.Errorf("the stand-in for a mail server: %w", err)
	}
	if d.mailAt, err = d.mail.Start(ctx, at); err != nil {
		return fmt.Errorf("the stand-in for a mail server: %w", err)
	}
	data, err := json.Marshal(d.mailAt)
	if err != nil {
		return err
	}
	return os.WriteFile(mailAtFile(d.cfg.DataDir), append(data, '\n'), 0o600)
}

// connectMail adds the stand-in's mailbox as a channel, or tells an old channel
// where it is now.
func (d *demo) connectMail(ctx context.Context, dk *desk.Desk, tenant events.TenantID) error {
	settings := map[string]string{
		"address": d.mail.Address(), "name": "Sandbox", "imap": d.mailAt.IMAP, "smtp": d.mailAt.SMTP,
		// The stand-in listens on this machine only.
		"imap_security": "none", "smtp_security": "none",
		// Whatever is in the mailbox was written to be read, also before the first look.
		"since": "2000-01-01",
		"sent":  "off", "authserv_id": "sandbox.example", "poll": "10",
	}
	ch, err := dk.Channel(ctx, tenant, demoMail)
	switch {
	case inbox.CodeOf(err) == inbox.NotFound:
		_, err = dk.ChannelAdd(ctx, desk.NewChannel{
			Tenant: tenant, Transport: events.Email, Name: demoMail, Mode: events.Polling, Settings: settings,
			Secrets: map[string]string{"password": sandbox.DefaultMailPassword},
		})
	case err == nil && !maps.Equal(ch.Settings, settings):
		if _, err = dk.Store.UpdateChannel(ctx, tenant, ch.ID, store.ChannelChange{Settings: settings}); err == nil {
			err = dk.Project(ctx)
		}
	}
	return err
}
