package dispatcher_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"parley/events"
	"parley/inbox/dispatcher"
	"parley/store/outboundtest"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/telegram"
)

// BenchmarkDrain sends 20,000 queued messages to a provider that accepts at once,
// spread over people in three ways.
func BenchmarkDrain(b *testing.B) {
	const messages = 20_000
	for _, lanes := range []int{1000, messages, 10} {
		b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
			for range b.N {
				p := newProvider()
				drain(b, lanes, messages/lanes, p.count, func(o *dispatcher.Options) { o.Factories = p.factories() })
			}
		})
	}
}

// BenchmarkDrainHTTP sends 20,000 messages to 1,000 people through the Telegram
// adapter and its stand-in, over loopback connections, all in this process.
func BenchmarkDrainHTTP(b *testing.B) {
	for range b.N {
		tg, err := sandbox.NewTelegram(sandbox.TelegramOptions{OpenChats: true})
		if err != nil {
			b.Fatal(err)
		}
		api, err := tg.Start(b.Context(), "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		accepted := newProvider() // only counts
		build := func(a transports.Account) (transports.Transport, error) {
			a.Secrets = map[string]string{"token": sandbox.DefaultTelegramToken}
			a.Channel.Settings = map[string]string{"api_url": api, "rate": "0", "person_rate": "0"}
			t, err := telegram.New(a)
			if err != nil {
				return nil, err
			}
			return &counted{provider: accepted, Sender: t.(transports.Sender), caps: t.Capabilities()}, nil
		}
		drain(b, 1000, 20, accepted.count, func(o *dispatcher.Options) {
			o.Factories = map[events.Transport]transports.Factory{events.Telegram: build}
		})
		if err := tg.Close(); err != nil {
			b.Error(err)
		}
	}
}

// counted counts what another sender was given.
type counted struct {
	*provider
	transports.Sender
	caps transports.Capabilities
}

func (c *counted) Capabilities() transports.Capabilities { return c.caps }

func (c *counted) Send(ctx context.Context, part transports.Outbound) (transports.Receipt, error) {
	receipt, err := c.Sender.Send(ctx, part)
	if err != nil {
		return receipt, err
	}
	_, err = c.provider.Send(ctx, part)
	return receipt, err
}

// drain queues rounds messages to each of the lanes and measures until all are
// sent.
func drain(b *testing.B, lanes, rounds int, accepted func() int, adjust func(*dispatcher.Options)) {
	b.Helper()
	b.StopTimer()
	w := outboundtest.New(b)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "1000", lanes)
	for range rounds {
		w.Queue(ch.ID, "hello", outboundtest.Addresses("1000", lanes, 1)...)
	}
	w.Exec("ANALYZE")
	b.StartTimer()
	start := time.Now()
	r := dispatch(w, newProvider(), adjust, func(o *dispatcher.Options) { o.PollEvery, o.RefreshEvery = 0, 0 })
	// Counting rows would be measured, too.
	w.Until("all are accepted", func() bool { return accepted() == lanes*rounds })
	w.Until("all are sent", func() bool { return w.States()["sent"] == lanes*rounds })
	took := time.Since(start)
	b.StopTimer()
	r.end()
	b.ReportMetric(float64(lanes*rounds)/took.Seconds(), "messages/s")
}
