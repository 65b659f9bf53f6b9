package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
	"parley/transports"
	"parley/transports/gateway"
	"parley/transports/sandbox"
	"parley/transports/twilio"
)

const (
	tenant     events.TenantID  = "11111111-1111-4111-8111-111111111111"
	channel    events.ChannelID = "22222222-2222-4222-8222-222222222222"
	opaquePath                  = "opaque-path-nobody-guesses"
)

// What the gateway logs once it has compared a channel, and once it knows one.
const (
	comparedLine = "channel compared with its provider"
	loadedLine   = "channel loaded"
)

// onePartition keeps everything in one place to look.
func onePartition(o *jetstream.Options) { o.Partitions = 1 }

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	wrote chan struct{} // closed at the next write; nil while nobody waits
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wrote != nil {
		close(b.wrote)
		b.wrote = nil
	}
	return b.buf.Write(p)
}

// await waits until text was logged for the nth time.
func (b *syncBuffer) await(t *testing.T, text string, n int) {
	t.Helper()
	late := time.After(2 * time.Minute)
	for {
		b.mu.Lock()
		found := strings.Count(b.buf.String(), text)
		if b.wrote == nil {
			b.wrote = make(chan struct{})
		}
		wrote := b.wrote
		b.mu.Unlock()
		if found >= n {
			return
		}
		select {
		case <-wrote:
		case <-late:
			t.Fatalf("%q was logged %d times, want %d", text, found, n)
		}
	}
}

// count is how often text was logged.
func (b *syncBuffer) count(text string) int { return strings.Count(b.String(), text) }

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// runTwilio runs a gateway for the stand-in's SMS number until stop.
func runTwilio(t *testing.T, bus *jetstream.Bus, publicURL string, logs *syncBuffer) (h http.Handler, stop func()) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	g, err := gateway.New(gateway.Options{
		Bus:       gateway.OnJetStream(bus),
		Factories: map[events.Transport]transports.Factory{events.SMS: twilio.New},
		OpenSecrets: func(events.Channel) (map[string]string, error) {
			return map[string]string{"auth_token": sandbox.DefaultTwilioToken}, nil
		},
		PublicURL:  publicURL,
		Logger:     slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Registerer: prometheus.NewRegistry(),
		HTTPClient: client,
		Limits:     gateway.Limits{Lease: 600 * time.Millisecond, FirstPause: 10 * time.Millisecond, LongestPause: 100 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	return g.Handler(), func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		client.CloseIdleConnections()
	}
}

// A message whose webhook failed while nobody ran is found in Twilio's list, and
// is in the stream exactly once; one whose webhook arrived is not lost among it.
func TestTwilioReconcilesAnOutage(t *testing.T) {
	t.Parallel()
	server := natstest.Serve(t)
	bus := server.Dial(t, onePartition)
	// Twilio's list leaves out the last minute, and this process was last here two
	// hours ago.
	sent := time.Now().Add(-time.Hour)
	tw, err := sandbox.NewTwilio(sandbox.TwilioOptions{WebhookRetry: time.Millisecond, Now: func() time.Time { return sent }})
	if err != nil {
		t.Fatal(err)
	}
	api, err := tw.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var handler atomic.Pointer[http.Handler]
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := handler.Load()
		if h == nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		(*h).ServeHTTP(w, r)
	}))
	logs := &syncBuffer{}
	t.Cleanup(func() {
		if err := tw.Close(); err != nil {
			t.Error(err)
		}
		front.Close()
		for _, secret := range []string{sandbox.DefaultTwilioToken, opaquePath} {
			if strings.Contains(logs.String(), secret) {
				t.Errorf("the log holds %q", secret)
			}
		}
		if t.Failed() {
			t.Log(logs)
		}
	})
	state, err := json.Marshal(map[string]time.Time{"first": sent.Add(-24 * time.Hour), "done": sent.Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	err = bus.PutChannel(t.Context(), events.Channel{
		ID: channel, Tenant: tenant, Transport: events.SMS, Name: "Shop", Mode: events.Webhook, WebhookPath: opaquePath,
		Settings: map[string]string{"api_url": api, "account_sid": sandbox.DefaultTwilioAccount, "from": sandbox.DefaultTwilioNumber},
		Country:  "DE", Sealed: []byte("sealed"), Version: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	// The first gateway connects the number, and leaves.
	_, stop := runTwilio(t, bus, front.URL, logs)
	anna := tw.Person("anna")
	logs.await(t, "state=connected", 1)
	stop()
	if err := bus.SetReconciled(t.Context(), channel, string(state)); err != nil {
		t.Fatal(err)
	}

	sid, err := anna.Say("Is anybody there?")
	if err != nil {
		t.Fatal(err)
	}
	tries := make(map[int64]bool)
	_, err = tw.Await(t.Context(), func(e sandbox.TwilioEntry) bool {
		if e.SID == sid && e.Code == http.StatusBadGateway {
			tries[e.Seq] = true
		}
		return len(tries) == 2 // Twilio does not come a third time
	})
	if err != nil {
		t.Fatal(err)
	}
	rd, err := bus.Reader(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rd.Close)

	compared := logs.count(comparedLine)
	h, stop := runTwilio(t, bus, front.URL, logs)
	handler.Store(&h)
	next := func() events.Inbound {
		records, err := rd.Next(t.Context(), 1)
		if err != nil || records[0].Err != nil {
			t.Fatal(err, records)
		}
		return records[0].Event
	}
	ev := next()
	if ev.Key.Message != sid || ev.Content.Text != "Is anybody there?" || ev.Channel != channel || ev.Tenant != tenant || ev.ID == "" {
		t.Fatalf("got %+v", ev)
	}
	// The state moves behind it.
	logs.await(t, comparedLine, compared+1)
	if text, err := bus.Reconciled(t.Context(), channel); err != nil || text == string(state) {
		t.Fatalf("it is still %s, %v", text, err)
	}
	stop()
	// A later run begins long after that message: it does not come again.
	loaded := logs.count(loadedLine)
	h, stop = runTwilio(t, bus, front.URL, logs)
	defer stop()
	logs.await(t, loadedLine, loaded+1)
	handler.Store(&h)
	later, err := anna.Say("Good morning!")
	if err != nil {
		t.Fatal(err)
	}
	if ev := next(); ev.Key.Message != later {
		t.Errorf("behind it is %+v", ev)
	}
}
