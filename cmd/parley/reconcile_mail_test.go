package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/events/jetstream/natstest"
	"parley/transports"
	"parley/transports/email"
	"parley/transports/gateway"
	"parley/transports/sandbox"
)

// What a mailbox has and polling passed over is published when the mailbox is
// compared, by the gateway that polls it, under the key that polling would have
// given it; polling goes on beside that.
func TestMailboxIsCompared(t *testing.T) {
	t.Parallel()
	bus := natstest.Serve(t).Dial(t, onePartition)
	office, err := sandbox.NewMail(sandbox.MailOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var at [2]net.Listener
	for i := range at {
		if at[i], err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	served := make(chan error, 1)
	go func() { served <- office.Serve(at[0], at[1]) }()
	t.Cleanup(func() {
		_ = office.Close()
		if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error("the stand-in: ", err)
		}
	})
	write := func(text string) string {
		t.Helper()
		id, err := office.Write(sandbox.Letter{From: "Anna Lind <anna@example.org>", Subject: "Bread", Text: text})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	// Without a date to begin at, polling leaves out what was there before.
	missed := write("Is anybody there?")
	if err := bus.PutChannel(t.Context(), events.Channel{
		ID: channel, Tenant: tenant, Transport: events.Email, Name: "Office", Mode: events.Polling, WebhookPath: opaquePath,
		Settings: map[string]string{
			"address": sandbox.DefaultMailAddress, "imap": at[0].Addr().String(), "smtp": at[1].Addr().String(),
			"imap_security": "none", "smtp_security": "none", "authserv_id": "sandbox.example",
		},
		Sealed: []byte("sealed"), Version: 1,
	}); err != nil {
		t.Fatal(err)
	}
	// It was connected yesterday, and compared a moment ago.
	state, err := json.Marshal(map[string]time.Time{"first": time.Now().AddDate(0, 0, -1), "done": time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.SetReconciled(t.Context(), channel, string(state)); err != nil {
		t.Fatal(err)
	}
	logs := &syncBuffer{}
	g, err := gateway.New(gateway.Options{
		Bus: gateway.OnJetStream(bus), Factories: map[events.Transport]transports.Factory{events.Email: email.New},
		OpenSecrets: func(events.Channel) (map[string]string, error) {
			return map[string]string{"password": sandbox.DefaultMailPassword, "reply_key": "0123456789abcdef0123456789abcdef"}, nil
		},
		Logger: slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})), Registerer: prometheus.NewRegistry(),
		HTTPClient: &http.Client{Transport: &http.Transport{}},
		Limits:     gateway.Limits{Lease: 600 * time.Millisecond, FirstPause: 10 * time.Millisecond, LongestPause: 100 * time.Millisecond, Check: 100 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			t.Log(logs)
		}
	})
	rd, err := bus.Reader(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rd.Close)
	var waiting []events.Inbound // a frame may hold several
	next := func() events.Inbound {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for len(waiting) == 0 {
			records, err := rd.Next(ctx, 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
				waiting = append(waiting, r.Event)
			}
		}
		ev := waiting[0]
		waiting = waiting[1:]
		return ev
	}
	// Once polling has begun, what it brings is what comes from then on.
	for {
		if _, err := bus.Cursor(t.Context(), channel); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	polled := write("Good morning!")
	first := next()
	if first.Content.Mail.MessageID != polled {
		t.Fatalf("polling brings %+v", first.Content.Mail)
	}
	if err := bus.AskReconcile(t.Context(), channel); err != nil {
		t.Fatal(err)
	}
	found := next()
	if found.Content.Mail.MessageID != missed || found.Content.Text != "Is anybody there?" || found.Tenant != tenant || found.Channel != channel || !found.Key.Valid() {
		t.Fatalf("comparing brings %+v", found)
	}
	// What was polled comes along, under the key it has: the router knows it.
	if again := next(); again.Content.Mail.MessageID != polled || again.Key != first.Key {
		t.Errorf("then comes %+v as %v, not %v", again.Content.Mail, again.Key, first.Key)
	}
	for {
		text, err := bus.Reconciled(t.Context(), channel)
		if err != nil {
			t.Fatal(err)
		}
		asked, err := bus.ReconcileAsked(t.Context(), channel)
		if err != nil {
			t.Fatal(err)
		}
		var now struct{ Asked string }
		if err := json.Unmarshal([]byte(text), &now); err != nil {
			t.Fatal(err)
		}
		if now.Asked == asked { // durable behind all that
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	last := write("And goodbye.")
	if ev := next(); ev.Content.Mail.MessageID != last {
		t.Errorf("behind it comes %+v", ev.Content.Mail)
	}
}
