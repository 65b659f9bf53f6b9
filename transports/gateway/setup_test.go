package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/transports"
)

const (
	testTenant  events.TenantID  = "11111111-1111-4111-8111-111111111111"
	testChannel events.ChannelID = "22222222-2222-4222-8222-222222222222"
	testPath                     = "opaque-path-nobody-guesses"
	testSecret                   = "123456:s3cret-t0ken-of-the-bot"
	testKind    events.Transport = "fake"
)

// fakeAdapter speaks a made-up provider: its webhook bodies are JSON arrays of
// ids, proved by the header X-Secret. Unset funcs do what is harmless.
type fakeAdapter struct {
	account transports.Account
	parse   func(r *http.Request, body []byte) (transports.Callback, error)
	poll    func(ctx context.Context, cursor string, emit transports.Emit) error
	connect func(ctx context.Context, url string) error
	check   func(ctx context.Context) (transports.Report, error)
	open    func(ctx context.Context, ref string) (transports.Media, error)
	// reconcile is called where it is set, hourly.
	reconcile func(ctx context.Context, since time.Time, emit func(context.Context, []events.Inbound) error) error
}

var (
	_ transports.Webhook     = (*fakeAdapter)(nil)
	_ transports.Poller      = (*fakeAdapter)(nil)
	_ transports.Connector   = (*fakeAdapter)(nil)
	_ transports.MediaOpener = (*fakeAdapter)(nil)
	_ transports.Reconciler  = (*fakeAdapter)(nil)
)

func (a *fakeAdapter) Capabilities() transports.Capabilities {
	caps := transports.Capabilities{MaxFetch: 10}
	if a.reconcile != nil {
		caps.Reconcile = time.Hour
	}
	return caps
}

func (a *fakeAdapter) Reconcile(ctx context.Context, since time.Time, emit func(context.Context, []events.Inbound) error) error {
	return a.reconcile(ctx, since, emit)
}

func (a *fakeAdapter) ParseWebhook(r *http.Request, body []byte) (transports.Callback, error) {
	if a.parse != nil {
		return a.parse(r, body)
	}
	if r.Header.Get("X-Secret") != a.account.Secrets["token"] {
		return transports.Callback{}, transports.ErrForged
	}
	var ids []string
	if err := json.Unmarshal(body, &ids); err != nil {
		return transports.Callback{}, err
	}
	return transports.Callback{Events: inbound(ids...), ContentType: "text/xml", Body: []byte("<ok/>")}, nil
}

func (a *fakeAdapter) Poll(ctx context.Context, cursor string, emit transports.Emit) error {
	if a.poll != nil {
		return a.poll(ctx, cursor, emit)
	}
	<-ctx.Done()
	return ctx.Err()
}

func (a *fakeAdapter) Connect(ctx context.Context, url string) error {
	if a.connect != nil {
		return a.connect(ctx, url)
	}
	return nil
}

func (a *fakeAdapter) Check(ctx context.Context) (transports.Report, error) {
	if a.check != nil {
		return a.check(ctx)
	}
	return transports.Report{Account: "@fake"}, nil
}

func (a *fakeAdapter) OpenMedia(ctx context.Context, ref string) (transports.Media, error) {
	if a.open != nil {
		return a.open(ctx, ref)
	}
	return transports.Media{ReadCloser: io.NopCloser(strings.NewReader(ref)), Size: -1}, nil
}

// inbound makes events as an adapter would, one for each provider event id.
func inbound(ids ...string) []events.Inbound {
	evs := make([]events.Inbound, 0, len(ids))
	for _, id := range ids {
		evs = append(evs, events.Inbound{
			Kind:          events.Message,
			Person:        events.Person{Identity: events.Identity{Kind: events.TelegramUser, Value: "7"}, Address: "7"},
			Key:           events.MessageKey{Chat: "7", Message: id},
			ProviderEvent: id,
			Content:       &events.Content{Type: events.Text, Text: "hello " + id},
			Raw:           json.RawMessage(`{"id":"` + id + `"}`),
		})
	}
	return evs
}

// rig is a gateway under test.
type rig struct {
	*Gateway
	bus     *fakeBus
	logs    *logBuffer
	metrics *prometheus.Registry
	// mu guards what a test and its adapters share.
	mu sync.Mutex
	// adapter prepares each adapter that is built; nil leaves it harmless.
	adapter func(*fakeAdapter) error
}

// newRig makes a gateway that nobody runs yet; tune changes its options.
func newRig(t *testing.T, bus *fakeBus, tune func(*Options)) *rig {
	t.Helper()
	r := &rig{bus: bus, logs: &logBuffer{}, metrics: prometheus.NewRegistry()}
	o := Options{
		Bus: bus,
		Factories: map[events.Transport]transports.Factory{testKind: func(acc transports.Account) (transports.Transport, error) {
			a := &fakeAdapter{account: acc}
			if r.adapter != nil {
				if err := r.adapter(a); err != nil {
					return nil, err
				}
			}
			return a, nil
		}},
		OpenSecrets: openTestSecrets,
		PublicURL:   "https://inbox.example.com/",
		Logger:      slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Registerer:  r.metrics,
	}
	if tune != nil {
		tune(&o)
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Gateway = g
	return r
}

// openTestSecrets opens what testSealed sealed.
func openTestSecrets(ch events.Channel) (map[string]string, error) {
	token, ok := bytes.CutPrefix(ch.Sealed, []byte("sealed:"))
	if !ok {
		return nil, errors.New("the key does not fit")
	}
	return map[string]string{"token": string(token)}, nil
}

// run runs the gateway until stop is called, which returns what Run did; the
// test's end stops it too.
func (r *rig) run(t *testing.T) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return stop
}

// do runs f alone: everything a test shares with its adapters is touched so.
func (r *rig) do(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// advance lets the bubble's time pass, and all that falls due with it.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// load makes the bus's channels known without running anything else.
func (r *rig) load() {
	for _, ch := range r.bus.channels {
		r.table.put(r.build(ch))
	}
	r.table.setLoaded()
}

// webhookChannel is a channel in webhook mode.
func webhookChannel() events.Channel {
	return events.Channel{
		ID: testChannel, Tenant: testTenant, Transport: testKind, Name: "Test", Mode: events.Webhook,
		WebhookPath: testPath, Sealed: []byte("sealed:" + testSecret), Version: 1,
	}
}

// pollingChannel is a channel in polling mode.
func pollingChannel() events.Channel {
	ch := webhookChannel()
	ch.Mode = events.Polling
	return ch
}

// delivery is a provider's request.
func delivery(ids ...string) *http.Request {
	body, err := json.Marshal(ids)
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, transports.WebhookPrefix+testPath, bytes.NewReader(body))
	r.Header.Set("X-Secret", testSecret)
	return r
}

// answer is what the handler says to a request.
func (r *rig) answer(req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	return w
}

// wantCode fails the test unless the answer has this status.
func wantCode(t *testing.T, w *httptest.ResponseRecorder, code int) {
	t.Helper()
	if w.Code != code {
		t.Fatalf("status %d, want %d: %s", w.Code, code, w.Body)
	}
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// wantNoSecrets fails the test when the log holds a secret or an opaque path.
func (l *logBuffer) wantNoSecrets(t *testing.T) {
	t.Helper()
	_, half, _ := strings.Cut(testSecret, ":")
	for _, secret := range []string{testSecret, half, testPath} {
		if strings.Contains(l.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, l)
		}
	}
}
