package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/inbox/desk"
	"parley/transports/sandbox"
)

// TestLogsHoldNoSecrets reads everything that a talkative server says while it is used:
// neither secrets nor what people wrote are among it.
func TestLogsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	telegram, address := startTelegram(t)
	logs := &logBuffer{}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ready, ended := make(chan *Running, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{
			DataDir: dir, Listen: "127.0.0.1:0", Logger: slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Started: func(_ context.Context, r *Running) { ready <- r },
		})
	}()
	var r *Running
	select {
	case r = <-ready:
	case err := <-ended:
		t.Fatal("it ended: ", err, logs)
	case <-time.After(patience):
		t.Fatal("it is not ready\n", logs)
	}
	p := &program{Running: r}
	p.connect(t, address)
	tenant, err := p.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := telegram.Person("anna").Say("written by a client"); err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), dir, fact("received", "written by a client")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Desk.Reply(t.Context(), desk.Reply{Tenant: tenant.ID, Chat: 1, Text: "written by an agent", Force: true}); err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), dir, fact("sent", "")); err != nil {
		t.Fatal(err)
	}
	// The provider refuses the token: errors are where secrets slip out.
	_, err = p.Desk.ChannelAdd(t.Context(), desk.NewChannel{
		Tenant: tenant.ID, Transport: events.Telegram, Name: "Wrong", Settings: map[string]string{"api_url": address},
		Secrets: map[string]string{"token": "987654:wrong-and-secret"}, Unchecked: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for late := time.After(patience); !strings.Contains(logs.String(), `"needs_attention"`); {
		select {
		case <-late:
			t.Fatal("the wrong token was not noticed\n", logs)
		case <-time.After(50 * time.Millisecond):
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	said := logs.String()
	for what, text := range map[string]string{
		"the bot's token": sandbox.DefaultTelegramToken, "a wrong token": "wrong-and-secret", "NATS's password": r.NATS.Password,
		"a client's text": "written by a client", "an agent's text": "written by an agent",
	} {
		if i := strings.Index(said, text); i >= 0 {
			t.Errorf("%s is in the log: %s", what, said[max(i-200, 0):i+50])
		}
	}
	// The message's ids are, so that it can be followed.
	if !strings.Contains(said, `"channel":"`) || !strings.Contains(said, `"tenant":"`) {
		t.Error("the log names neither channel nor tenant")
	}
}
