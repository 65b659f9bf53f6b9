package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
	"parley/transports"
	"parley/transports/gateway"
	"parley/transports/sandbox"
	"parley/transports/telegram"
)

const (
	tenant        events.TenantID  = "11111111-1111-4111-8111-111111111111"
	channel       events.ChannelID = "22222222-2222-4222-8222-222222222222"
	opaquePath                     = "opaque-path-nobody-guesses"
	webhookSecret                  = "s3cret-Webhook_token"
)

// town is a Telegram, a bus, and as many gateways as a test starts behind one
// public address.
type town struct {
	telegram *sandbox.Telegram
	api      string
	front    *httptest.Server
	logs     *syncBuffer
	anna     sandbox.Person

	mu       sync.Mutex
	handlers []http.Handler // of gateways that run
	next     int
}

func newTown(t *testing.T) *town {
	t.Helper()
	tg, err := sandbox.NewTelegram(sandbox.TelegramOptions{WebhookRetry: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	api, err := tg.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tn := &town{telegram: tg, api: api, logs: &syncBuffer{}, anna: tg.Person("anna")}
	tn.front = httptest.NewServer(tn)
	t.Cleanup(func() {
		tn.front.Close()
		if err := tg.Close(); err != nil {
			t.Error(err)
		}
		_, half, _ := strings.Cut(sandbox.DefaultTelegramToken, ":")
		for _, secret := range []string{half, webhookSecret, opaquePath} {
			if strings.Contains(tn.logs.String(), secret) {
				t.Errorf("the log holds %q:\n%s", secret, tn.logs)
			}
		}
		if t.Failed() {
			t.Log(tn.logs)
		}
	})
	return tn
}

// ServeHTTP is a load balancer: gateways take turns.
func (tn *town) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tn.mu.Lock()
	if len(tn.handlers) == 0 {
		tn.mu.Unlock()
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	tn.next++
	h := tn.handlers[tn.next%len(tn.handlers)]
	tn.mu.Unlock()
	h.ServeHTTP(w, r)
}

// start runs a gateway until stop.
func (tn *town) start(t *testing.T, bus *jetstream.Bus) (stop func()) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	g, err := gateway.New(gateway.Options{
		Bus:       gateway.OnJetStream(bus),
		Factories: map[events.Transport]transports.Factory{events.Telegram: telegram.New},
		OpenSecrets: func(events.Channel) (map[string]string, error) {
			return map[string]string{"token": sandbox.DefaultTelegramToken, "webhook_secret": webhookSecret}, nil
		},
		PublicURL:  tn.front.URL,
		Logger:     slog.New(slog.NewTextHandler(tn.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Registerer: prometheus.NewRegistry(),
		HTTPClient: client,
		Limits:     gateway.Limits{Lease: 600 * time.Millisecond, FirstPause: 10 * time.Millisecond, LongestPause: 100 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := g.Handler()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	tn.mu.Lock()
	tn.handlers = append(tn.handlers, h)
	tn.mu.Unlock()
	stop = sync.OnceFunc(func() {
		tn.mu.Lock()
		tn.handlers = slices.DeleteFunc(tn.handlers, func(o http.Handler) bool { return o == h })
		tn.mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		client.CloseIdleConnections()
	})
	t.Cleanup(stop)
	return stop
}

// project makes a version of the channel known.
func (tn *town) project(t *testing.T, bus *jetstream.Bus, mode events.ChannelMode, version int64) {
	t.Helper()
	err := bus.PutChannel(t.Context(), events.Channel{
		ID: channel, Tenant: tenant, Transport: events.Telegram, Name: "Shop", Mode: mode, WebhookPath: opaquePath,
		Settings: map[string]string{"api_url": tn.api}, Sealed: []byte("sealed"), Version: version,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (tn *town) say(t *testing.T, format string, args ...any) string {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	if _, err := tn.anna.Say(text); err != nil {
		t.Fatal(err)
	}
	return text
}

// reader reads what Anna's messages became.
type reader struct {
	r    *jetstream.Reader
	seen []string // texts in order of their first arrival
}

func read(t *testing.T, bus *jetstream.Bus) *reader {
	t.Helper()
	r, err := bus.Reader(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return &reader{r: r}
}

// until waits for a message.
func (rd *reader) until(t *testing.T, text string) {
	t.Helper()
	for !slices.Contains(rd.seen, text) {
		records, err := rd.r.Next(t.Context(), 100)
		if err != nil {
			t.Fatalf("waiting for %q: %v", text, err)
		}
		for _, rec := range records {
			ev := rec.Event
			if ev.Tenant != tenant || ev.Channel != channel || ev.ID == "" || ev.Kind != events.Message {
				t.Fatalf("record %d is %+v (%v)", rec.Seq, ev, rec.Err)
			}
			if !slices.Contains(rd.seen, ev.Content.Text) {
				rd.seen = append(rd.seen, ev.Content.Text)
			}
		}
	}
}

// onePartition keeps everything in one place to look.
func onePartition(o *jetstream.Options) { o.Partitions = 1 }

// Whatever way news arrive, and while the way changes, each message arrives and
// in its order.
func TestTelegramInBothModes(t *testing.T) {
	t.Parallel()
	bus := natstest.Start(t, onePartition)
	tn := newTown(t)
	tn.start(t, bus)
	rd := read(t, bus)
	var said []string
	for i, mode := range []events.ChannelMode{events.Polling, events.Webhook, events.Polling, events.Webhook} {
		said = append(said, tn.say(t, "before %d", i))
		tn.project(t, bus, mode, int64(i+1))
		said = append(said, tn.say(t, "while %d", i))
		rd.until(t, said[len(said)-1])
		said = append(said, tn.say(t, "after %d", i))
		rd.until(t, said[len(said)-1])
	}
	if !slices.Equal(rd.seen, said) {
		t.Errorf("arrived %q, said %q", rd.seen, said)
	}
}

// Replicas come and go; somebody always listens, and nothing is lost.
func TestTelegramAcrossReplicas(t *testing.T) {
	t.Parallel()
	for _, mode := range []events.ChannelMode{events.Polling, events.Webhook} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			server := natstest.Serve(t)
			bus := server.Dial(t, onePartition)
			tn := newTown(t)
			tn.project(t, bus, mode, 1)
			rd := read(t, bus)
			stop := tn.start(t, server.Dial(t, onePartition))
			var said []string
			for i := range 4 {
				said = append(said, tn.say(t, "one %d", i))
				rd.until(t, said[len(said)-1])
				next := tn.start(t, server.Dial(t, onePartition))
				said = append(said, tn.say(t, "both %d", i))
				stop()
				said = append(said, tn.say(t, "other %d", i))
				rd.until(t, said[len(said)-1])
				stop = next
			}
			if !slices.Equal(rd.seen, said) {
				t.Errorf("arrived %q, said %q", rd.seen, said)
			}
		})
	}
}

// While the bus is down Telegram keeps what it has; afterwards all of it comes.
func TestTelegramThroughAnOutageOfTheBus(t *testing.T) {
	t.Parallel()
	for _, mode := range []events.ChannelMode{events.Polling, events.Webhook} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			server := natstest.Serve(t)
			short := func(o *jetstream.Options) { o.AckTimeout = 200 * time.Millisecond }
			bus := server.Dial(t, onePartition, short)
			tn := newTown(t)
			tn.project(t, bus, mode, 1)
			tn.start(t, bus)
			rd := read(t, bus)
			said := []string{tn.say(t, "before")}
			rd.until(t, "before")
			server.Stop(t)
			said = append(said, tn.say(t, "during"))
			// It was offered and not taken: by a webhook that was refused, by an
			// update that nobody confirmed.
			_, err := tn.telegram.Await(t.Context(), func(e sandbox.TelegramEntry) bool {
				return e.What == sandbox.LogDelivered && e.UpdateID == 2 && (e.Via == "poll" || e.Code == http.StatusServiceUnavailable)
			})
			if err != nil {
				t.Fatal(err)
			}
			server.Start(t)
			said = append(said, tn.say(t, "after"))
			rd.until(t, "after")
			if !slices.Equal(rd.seen, said) {
				t.Errorf("arrived %q, said %q", rd.seen, said)
			}
		})
	}
}

// Health is on the bus, and says what a person needs to know.
func TestTelegramHealth(t *testing.T) {
	t.Parallel()
	bus := natstest.Start(t, onePartition)
	tn := newTown(t)
	tn.project(t, bus, events.Polling, 1)
	stop := tn.start(t, bus)
	rd := read(t, bus)
	rd.until(t, tn.say(t, "hello"))
	stop()
	all, err := bus.Health(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].State != events.Connected || all[0].Channel != channel || all[0].Since.IsZero() {
		t.Errorf("health %+v", all)
	}
	last, err := gateway.OnJetStream(bus).LastHealth(t.Context(), channel)
	if err != nil || last.State != events.Connected {
		t.Errorf("last health %+v, %v", last, err)
	}
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
