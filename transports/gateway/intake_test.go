package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"parley/events"
	"parley/transports"
)

// fakeBlobs keeps blobs in memory.
type fakeBlobs struct {
	mu   sync.Mutex
	kept map[string]string
	err  error
}

func (b *fakeBlobs) Put(_ context.Context, key string, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	if b.kept == nil {
		b.kept = make(map[string]string)
	}
	b.kept[key] = string(data)
	return nil
}

// large is one event with this much payload and text.
func large(raw, text int) func(*http.Request, []byte) (transports.Callback, error) {
	return func(*http.Request, []byte) (transports.Callback, error) {
		evs := inbound("1")
		evs[0].Raw = json.RawMessage(`"` + strings.Repeat("r", raw) + `"`)
		evs[0].Content.Text = strings.Repeat("t", text)
		evs[0].Content.ReplyTo = &events.MessageKey{Chat: "7", Message: "0"}
		return transports.Callback{Events: evs}, nil
	}
}

func TestLargePayloadGoesToBlobsFirst(t *testing.T) {
	t.Parallel()
	blobs := &fakeBlobs{}
	r := loadedRig(t, func(o *Options) { o.Blobs = blobs })
	r.setParse(large(300<<10, 10))
	r.bus.onPublish = func(_ context.Context, evs []events.Inbound) error {
		blobs.mu.Lock()
		defer blobs.mu.Unlock()
		if len(blobs.kept[evs[0].RawRef]) != 300<<10+2 {
			t.Errorf("published before the blob %q was kept", evs[0].RawRef)
		}
		return nil
	}
	wantCode(t, r.answer(delivery("1")), http.StatusOK)
	wantCode(t, r.answer(delivery("1")), http.StatusOK)
	evs := r.bus.stored()
	if len(evs) != 2 || evs[0].RawRef == "" || evs[0].Raw != nil {
		t.Fatalf("stored %+v", evs)
	}
	if evs[0].Content.Type != events.Text || len(evs[0].Notes) != 0 {
		t.Errorf("the content was changed: %+v", evs[0])
	}
	if len(blobs.kept) != 1 || evs[0].RawRef != evs[1].RawRef {
		t.Errorf("the same payload was kept %d times", len(blobs.kept))
	}
	if !strings.HasPrefix(evs[0].RawRef, "raw/"+string(testTenant)+"/"+string(testChannel)+"/") {
		t.Errorf("kept as %q", evs[0].RawRef)
	}
}

// A payload that just fits stays on the bus; the limit counts the whole event.
func TestPayloadBelowTheLimitStaysWhole(t *testing.T) {
	t.Parallel()
	blobs := &fakeBlobs{}
	r := loadedRig(t, func(o *Options) { o.Blobs = blobs })
	r.setParse(large(250<<10, 10))
	wantCode(t, r.answer(delivery("1")), http.StatusOK)
	if evs := r.bus.stored(); len(evs[0].Raw) != 250<<10+2 || len(blobs.kept) != 0 {
		t.Errorf("%d bytes of payload stayed, %d blobs were kept", len(evs[0].Raw), len(blobs.kept))
	}
}

func TestLargeContentIsShownByItsBeginning(t *testing.T) {
	t.Parallel()
	blobs := &fakeBlobs{}
	r := loadedRig(t, func(o *Options) { o.Blobs = blobs })
	r.setParse(large(600<<10, 600<<10))
	wantCode(t, r.answer(delivery("1")), http.StatusOK)
	ev := r.bus.stored()[0]
	if size, err := encodedSize(&ev); err != nil || size > 256<<10 {
		t.Errorf("the event has %d bytes (%v)", size, err)
	}
	if ev.Content.Type != events.Unsupported || !strings.HasPrefix(ev.Content.Text, "ttt") || ev.Content.ReplyTo == nil || len(ev.Notes) != 1 {
		t.Errorf("shown as %s with %d bytes of text, reply %v, notes %q", ev.Content.Type, len(ev.Content.Text), ev.Content.ReplyTo, ev.Notes)
	}
	if len(blobs.kept[ev.RawRef]) != 600<<10+2 {
		t.Error("the payload is not whole")
	}
}

func TestLargePayloadWithoutBlobs(t *testing.T) {
	t.Parallel()
	r := loadedRig(t, nil)
	r.setParse(large(300<<10, 10))
	w := r.answer(delivery("1"))
	wantCode(t, w, http.StatusRequestEntityTooLarge)
	if !strings.Contains(w.Body.String(), "blob storage") {
		t.Errorf("said %q", w.Body)
	}
	if n := testutil.ToFloat64(r.Gateway.metrics.publish.WithLabelValues("fake", "too_large")); n != 1 {
		t.Errorf("counted %v", n)
	}
}

func TestBlobFailureIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	r := loadedRig(t, func(o *Options) { o.Blobs = &fakeBlobs{err: errors.New("disk full")} })
	r.setParse(large(300<<10, 10))
	wantCode(t, r.answer(delivery("1")), http.StatusServiceUnavailable)
	if len(r.bus.stored()) != 0 {
		t.Error("published without its payload")
	}
	if n := testutil.ToFloat64(r.Gateway.metrics.publish.WithLabelValues("fake", "blob")); n != 1 {
		t.Errorf("counted %v", n)
	}
}

// An adapter's mistake must not make a provider repeat one request for ever.
func TestPayloadThatIsNotJSONIsQuoted(t *testing.T) {
	t.Parallel()
	r := loadedRig(t, nil)
	r.setParse(func(*http.Request, []byte) (transports.Callback, error) {
		evs := inbound("1")
		evs[0].Raw = json.RawMessage("a=1&b=\"2\"")
		return transports.Callback{Events: evs}, nil
	})
	wantCode(t, r.answer(delivery("1")), http.StatusOK)
	ev := r.bus.stored()[0]
	if string(ev.Raw) != `"a=1\u0026b=\"2\""` || len(ev.Notes) != 1 {
		t.Errorf("raw %s, notes %q", ev.Raw, ev.Notes)
	}
}

func TestRedactor(t *testing.T) {
	t.Parallel()
	hide := newRedactor(webhookChannel(), map[string]string{"token": "12:ab/cd+ef", "short": "eu"})
	for in, want := range map[string]string{
		"GET /bot12:ab/cd+ef/getMe":           "GET /bot[redacted]/getMe",
		"GET /bot12:ab%2Fcd+ef/getMe":         "GET /bot[redacted]/getMe",
		"GET ?t=12%3Aab%2Fcd%2Bef":            "GET ?t=[redacted]",
		"only ab/cd+ef":                       "only [redacted]",
		"eu stays":                            "eu stays",
		"https://x/webhook/" + testPath + "?": "https://x/webhook/[redacted]?",
	} {
		if got := hide.words(errors.New(in)); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if got := hide.words(errors.New(strings.Repeat("é", 1000))); len(got) > longestWords+3 || !strings.HasSuffix(got, "é…") {
		t.Errorf("cut to %q", got)
	}
}
