package gateway_test

import (
	"context"
	"errors"
	"testing"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
	"parley/transports"
	"parley/transports/gateway"
	"parley/transports/sandbox"
	"parley/transports/telegram"
)

// Bots cannot list what people wrote: Telegram keeps it until it is taken, and
// nothing is asked for.
func TestTelegramIsNotCompared(t *testing.T) {
	t.Parallel()
	bus := natstest.Start(t, onePartition)
	tn := newTown(t)
	tn.project(t, bus, events.Webhook, 1)
	g, err := gateway.New(gateway.Options{
		Bus:       gateway.OnJetStream(bus),
		Factories: map[events.Transport]transports.Factory{events.Telegram: telegram.New},
		OpenSecrets: func(events.Channel) (map[string]string, error) {
			return map[string]string{"token": sandbox.DefaultTelegramToken, "webhook_secret": webhookSecret}, nil
		},
		PublicURL: tn.front.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	tn.handlers = append(tn.handlers, g.Handler())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	rd := read(t, bus)
	rd.until(t, tn.say(t, "hello"))
	if err := g.Reconcile(t.Context(), channel); !errors.Is(err, gateway.ErrNoReconcile) {
		t.Errorf("got %v", err)
	}
	if state, err := bus.Reconciled(t.Context(), channel); !errors.Is(err, jetstream.ErrNotFound) {
		t.Errorf("compared up to %q, %v", state, err)
	}
}
