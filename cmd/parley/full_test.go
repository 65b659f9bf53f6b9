package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/transports/sandbox"
)

// TestFullBus fills the bus by webhooks: the provider is told to come again, and once
// there is room, everything that was accepted and what came again is stored once.
func TestFullBus(t *testing.T) {
	t.Parallel()
	twilio, err := sandbox.NewTwilio(sandbox.TwilioOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at, err := twilio.Start(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = twilio.Close() })
	cfg := shared(t, Config{DataDir: dataFolder(t), PublicURL: "http://inbox.example", BusRoom: 256 << 10})
	p := start(t, cfg)
	tenant, err := p.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	ch, err := p.Desk.ChannelAdd(t.Context(), twilioChannel(tenant.ID, at))
	if err != nil {
		t.Fatal(err)
	}
	hook := "/webhook/" + ch.WebhookPath
	sid := func(n int) string { return fmt.Sprintf("SM%032d", n) }
	text := strings.Repeat("words ", 200)
	// until posts a message until the answer is the one that is waited for.
	until := func(p *program, n, want int) {
		t.Helper()
		post := poster(p.Listen, "http://inbox.example"+hook, hook)
		late := time.Now().Add(patience)
		for code := 0; code != want; {
			if code, err = post(t.Context(), sid(n), text); err != nil || time.Now().After(late) {
				t.Fatalf("message %d is answered %d, %v", n, code, err)
			}
		}
	}
	until(p, 0, http.StatusOK) // the gateway knows a channel a moment after it was made
	accepted := 1
	post := poster(p.Listen, "http://inbox.example"+hook, hook)
	for ; ; accepted++ {
		code, err := post(t.Context(), sid(accepted), text)
		if err != nil || accepted > 1000 {
			t.Fatalf("after %d: %d, %v", accepted, code, err)
		}
		if code == http.StatusServiceUnavailable {
			break
		}
		if code != http.StatusOK {
			t.Fatalf("message %d is answered %d", accepted, code)
		}
	}
	until(p, accepted, http.StatusServiceUnavailable)
	p.Stop(t)
	cfg.BusRoom = 64 << 20
	q := start(t, cfg)
	until(q, accepted, http.StatusOK)
	late := time.Now().Add(patience)
	for stored := 0; stored != accepted+1; {
		if stored, err = messagesIn(t.Context(), cfg.DatabaseURL); err != nil || stored > accepted+1 || time.Now().After(late) {
			t.Fatalf("%d were accepted, %d are stored, %v", accepted+1, stored, err)
		}
	}
	auditClean(t, cfg.DataDir)
}

// messagesIn counts the messages of everybody.
func messagesIn(ctx context.Context, url string) (n int, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if _, err := conn.Exec(ctx, "SET ROLE parley_worker"); err != nil {
		return 0, err
	}
	err = conn.QueryRow(ctx, "SELECT count(*) FROM crm_chat_messages").Scan(&n)
	return n, err
}
