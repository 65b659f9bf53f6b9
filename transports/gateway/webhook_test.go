package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"parley/events"
	"parley/events/jetstream"
	"parley/transports"
)

// loadedRig has one webhook channel and answers for it.
func loadedRig(t *testing.T, tune func(*Options)) *rig {
	t.Helper()
	bus := newFakeBus()
	bus.channels[testChannel] = webhookChannel()
	r := newRig(t, bus, tune)
	r.load()
	t.Cleanup(func() { r.logs.wantNoSecrets(t) })
	return r
}

func TestWebhookStampsAndPublishes(t *testing.T) {
	t.Parallel()
	r := loadedRig(t, nil)
	before := time.Now().Add(-time.Microsecond)
	w := r.answer(delivery("1", "2"))
	wantCode(t, w, http.StatusOK)
	if got := w.Body.String(); got != "<ok/>" || w.Header().Get("Content-Type") != "text/xml" {
		t.Errorf("answered %q as %q, not as the adapter said", got, w.Header().Get("Content-Type"))
	}
	evs := r.bus.stored()
	if len(evs) != 2 {
		t.Fatalf("%d events, want 2", len(evs))
	}
	for i, ev := range evs {
		id, err := uuid.Parse(string(ev.ID))
		if err != nil || id.Version() != 7 {
			t.Errorf("event id %q is not a UUID version 7", ev.ID)
		}
		if ev.Tenant != testTenant || ev.Channel != testChannel || ev.Transport != testKind {
			t.Errorf("stamped %s %s %s", ev.Tenant, ev.Channel, ev.Transport)
		}
		if ev.AcceptedAt.Before(before) || ev.AcceptedAt.Location() != time.UTC ||
			!ev.AcceptedAt.Equal(ev.AcceptedAt.Truncate(time.Microsecond)) {
			t.Errorf("accepted at %s", ev.AcceptedAt)
		}
		if ev.ProviderEvent != fmt.Sprint(i+1) {
			t.Errorf("event %d is %q: out of order", i, ev.ProviderEvent)
		}
	}
	if evs[0].ID >= evs[1].ID {
		t.Errorf("ids do not rise: %s, %s", evs[0].ID, evs[1].ID)
	}
	if n := testutil.ToFloat64(r.Gateway.metrics.received.WithLabelValues("fake", "message")); n != 2 {
		t.Errorf("counted %v events", n)
	}
	if n := testutil.ToFloat64(r.Gateway.metrics.requests.WithLabelValues("fake", "200")); n != 1 {
		t.Errorf("counted %v requests", n)
	}
}

func TestWebhookIsDurableBeforeItIsAcknowledged(t *testing.T) {
	t.Parallel()
	r := loadedRig(t, nil)
	publishing, proceed := make(chan struct{}), make(chan struct{})
	r.bus.onPublish = func(context.Context, []events.Inbound) error {
		close(publishing)
		<-proceed
		return nil
	}
	answered := make(chan *httptest.ResponseRecorder, 1)
	go func() { answered <- r.answer(delivery("1")) }()
	<-publishing
	select {
	case w := <-answered:
		t.Fatalf("answered %d before the event was durable", w.Code)
	default:
	}
	close(proceed)
	wantCode(t, <-answered, http.StatusOK)
}

func TestWebhookRefusals(t *testing.T) {
	t.Parallel()
	request := func(change func(*http.Request)) *http.Request {
		req := delivery("1")
		change(req)
		return req
	}
	failing := func(err error) func(*rig) {
		return func(r *rig) {
			r.bus.onPublish = func(context.Context, []events.Inbound) error { return err }
		}
	}
	for name, tc := range map[string]struct {
		prepare func(*rig)
		limits  Limits
		request *http.Request
		code    int
		words   string
		reason  string // of the publish failure
	}{
		"back-pressure": {
			prepare: failing(fmt.Errorf("stream: %w", jetstream.ErrBackPressure)),
			request: delivery("1"), code: http.StatusServiceUnavailable, reason: "back_pressure",
		},
		"bus gone": {
			prepare: failing(fmt.Errorf("stream: %w", jetstream.ErrUnavailable)),
			request: delivery("1"), code: http.StatusServiceUnavailable, reason: "unavailable",
		},
		"bus closed": {
			prepare: failing(jetstream.ErrClosed),
			request: delivery("1"), code: http.StatusServiceUnavailable, reason: "unavailable",
		},
		"bus fails in a new way": {
			prepare: failing(errors.New("surprise")),
			request: delivery("1"), code: http.StatusServiceUnavailable, reason: "other",
		},
		"bus refuses the size": {
			prepare: failing(jetstream.ErrTooLarge),
			request: delivery("1"), code: http.StatusRequestEntityTooLarge, reason: "too_large", words: "too large",
		},
		"forged": {
			request: request(func(r *http.Request) { r.Header.Set("X-Secret", "guess") }),
			code:    http.StatusForbidden, words: "forbidden",
		},
		"unknown path": {
			request: httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook/guess", strings.NewReader("[]")),
			code:    http.StatusNotFound,
		},
		"endless path": {
			request: httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook/"+testPath+strings.Repeat("x", 5000), nil),
			code:    http.StatusNotFound,
		},
		"not a webhook": {
			request: httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/elsewhere", nil),
			code:    http.StatusNotFound,
		},
		"GET": {
			request: request(func(r *http.Request) { r.Method = http.MethodGet }),
			code:    http.StatusMethodNotAllowed,
		},
		"announced too large": {
			limits: Limits{Body: 3}, request: delivery("1"),
			code: http.StatusRequestEntityTooLarge, words: "larger than 3 bytes",
		},
		"turns out too large": {
			limits: Limits{Body: 3}, request: request(func(r *http.Request) { r.ContentLength = -1 }),
			code: http.StatusRequestEntityTooLarge, words: "larger than 3 bytes",
		},
		"body cut off": {
			request: request(func(r *http.Request) { r.ContentLength = 100 }),
			code:    http.StatusBadRequest,
		},
		"header too large": {
			request: request(func(r *http.Request) { r.Header.Set("X-Large", strings.Repeat("x", 40<<10)) }),
			code:    http.StatusRequestHeaderFieldsTooLarge,
		},
		"adapter fails": {
			request: request(func(r *http.Request) {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(testSecret)), int64(len(testSecret))
			}),
			code: http.StatusInternalServerError,
		},
		"paused": {
			prepare: func(r *rig) {
				ch := webhookChannel()
				ch.Paused = true
				r.table.put(r.build(ch))
			},
			request: delivery("1"), code: http.StatusServiceUnavailable, words: "paused",
		},
		"cannot be built": {
			prepare: func(r *rig) {
				ch := webhookChannel()
				ch.Sealed = []byte("damaged")
				r.table.put(r.build(ch))
			},
			request: delivery("1"), code: http.StatusServiceUnavailable,
		},
		"starting": {
			prepare: func(r *rig) { r.table = newTable() },
			request: delivery("1"), code: http.StatusServiceUnavailable, words: "starting",
		},
		"full": {
			prepare: func(r *rig) { r.gate = newDrain(0) },
			request: delivery("1"), code: http.StatusServiceUnavailable, words: "busy",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := loadedRig(t, func(o *Options) { o.Limits = tc.limits })
			if tc.prepare != nil {
				tc.prepare(r)
			}
			w := r.answer(tc.request)
			wantCode(t, w, tc.code)
			if !strings.Contains(w.Body.String(), tc.words) {
				t.Errorf("said %q, want something about %q", w.Body, tc.words)
			}
			if (tc.code == http.StatusServiceUnavailable) != (w.Header().Get("Retry-After") != "") {
				t.Errorf("Retry-After is %q with status %d", w.Header().Get("Retry-After"), w.Code)
			}
			if n := len(r.bus.stored()); n != 0 {
				t.Errorf("%d events were stored", n)
			}
			if tc.reason != "" {
				if n := testutil.ToFloat64(r.Gateway.metrics.publish.WithLabelValues("fake", tc.reason)); n != 1 {
					t.Errorf("counted %v publish failures because of %s", n, tc.reason)
				}
			}
			if tc.code == http.StatusForbidden {
				if n := testutil.ToFloat64(r.Gateway.metrics.forged.WithLabelValues("fake")); n != 1 {
					t.Errorf("counted %v forged requests", n)
				}
			}
		})
	}
}

// A person whom nobody could identify is the router's to quarantine, not the
// gateway's to lose.
func TestWebhookPublishesWithoutIdentity(t *testing.T) {
	t.Parallel()
	r := loadedRig(t, nil)
	r.setParse(func(*http.Request, []byte) (transports.Callback, error) {
		return transports.Callback{Events: []events.Inbound{{Kind: events.Ignored, Reason: "a group"}}}, nil
	})
	wantCode(t, r.answer(delivery("1")), http.StatusOK)
	if evs := r.bus.stored(); len(evs) != 1 || evs[0].Person.Identity.Valid() {
		t.Errorf("stored %+v", evs)
	}
}

// setParse rebuilds the test channel with another way to parse.
func (r *rig) setParse(parse func(*http.Request, []byte) (transports.Callback, error)) {
	r.adapter = func(a *fakeAdapter) error {
		a.parse = parse
		return nil
	}
	r.load()
}

func TestWebhookSurvivesPanics(t *testing.T) {
	t.Parallel()
	r := loadedRig(t, nil)
	calls := 0
	r.setParse(func(*http.Request, []byte) (transports.Callback, error) {
		if calls++; calls == 1 {
			panic("the token is " + testSecret)
		}
		return transports.Callback{Events: inbound("1")}, nil
	})
	wantCode(t, r.answer(delivery("1")), http.StatusInternalServerError)
	if n := testutil.ToFloat64(r.Gateway.metrics.panics.WithLabelValues("fake")); n != 1 {
		t.Errorf("counted %v panics", n)
	}
	if !strings.Contains(r.logs.String(), "adapter panicked") {
		t.Error("the panic was not logged")
	}
	wantCode(t, r.answer(delivery("1")), http.StatusOK)
	r.bus.onPublish = func(context.Context, []events.Inbound) error { panic("boom") }
	wantCode(t, r.answer(delivery("1")), http.StatusInternalServerError)
	if err := r.gate.close(t.Context()); err != nil {
		t.Errorf("a panic left somebody inside: %v", err)
	}
}

// A provider that hangs up while its event is on its way may not tell it again.
func TestWebhookKeepsWhatWasToldByAProviderThatHungUp(t *testing.T) {
	t.Parallel()
	r := loadedRig(t, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	r.bus.onPublish = func(ctx context.Context, _ []events.Inbound) error {
		hangUp()
		return ctx.Err()
	}
	wantCode(t, r.answer(delivery("1").WithContext(ctx)), http.StatusOK)
	if n := len(r.bus.stored()); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestWebhooksInParallel(t *testing.T) {
	t.Parallel()
	r := loadedRig(t, nil)
	const callers, each = 16, 50
	var mu sync.Mutex
	n := 0
	r.bus.onPublish = func(context.Context, []events.Inbound) error {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%7 == 0 {
			return jetstream.ErrBackPressure
		}
		return nil
	}
	var wg sync.WaitGroup
	acknowledged := make(chan string, callers*each)
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", c, i)
				if r.answer(delivery(id)).Code == http.StatusOK {
					acknowledged <- id
				}
			}
		})
	}
	wg.Wait()
	close(acknowledged)
	stored := map[string]int{}
	for _, ev := range r.bus.stored() {
		stored[ev.ProviderEvent]++
	}
	for id := range acknowledged {
		if stored[id] != 1 {
			t.Errorf("%s was acknowledged and stored %d times", id, stored[id])
		}
		delete(stored, id)
	}
	if len(stored) != 0 {
		t.Errorf("%d events stored without acknowledgement", len(stored))
	}
}

// On a real connection: a body that stops arriving is given up, and a body that
// lies about its length is cut.
func TestWebhookBodyOnTheWire(t *testing.T) {
	t.Parallel()
	serve := func(t *testing.T, limits Limits) *httptest.Server {
		t.Helper()
		srv := httptest.NewServer(loadedRig(t, func(o *Options) { o.Limits = limits }).Handler())
		t.Cleanup(srv.Close)
		return srv
	}
	exchange := func(t *testing.T, limits Limits, header, body string) string {
		t.Helper()
		srv := serve(t, limits)
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "POST "+transports.WebhookPrefix+testPath+" HTTP/1.1\r\nHost: test\r\n"+header+"\r\n"+body); err != nil {
			t.Fatal(err)
		}
		// The server hangs up by itself: there is nothing to wait for after that.
		answer, err := io.ReadAll(conn)
		if err != nil && len(answer) == 0 {
			t.Fatal(err)
		}
		return string(answer)
	}
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		if got := exchange(t, Limits{BodyTime: 20 * time.Millisecond}, "Content-Length: 50\r\n", `["1"`); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("slow chunks", func(t *testing.T) {
		t.Parallel()
		if got := exchange(t, Limits{BodyTime: 20 * time.Millisecond}, "Transfer-Encoding: chunked\r\n", "4\r\n[\"1\"\r\n"); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("endless chunks", func(t *testing.T) {
		t.Parallel()
		chunk := "400\r\n" + strings.Repeat("x", 0x400) + "\r\n"
		if got := exchange(t, Limits{Body: 1000}, "Transfer-Encoding: chunked\r\n", chunk); !strings.HasPrefix(got, "HTTP/1.1 413 ") {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("kept alive", func(t *testing.T) {
		t.Parallel()
		srv := serve(t, Limits{})
		for i := range 3 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+transports.WebhookPrefix+testPath, bytes.NewReader(fmt.Appendf(nil, `["%d"]`, i)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Secret", testSecret)
			res, err := srv.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("request %d: status %d", i, res.StatusCode)
			}
		}
	})
}
