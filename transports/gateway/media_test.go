package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
)

// rawAdapter keeps its files in its payloads.
type rawAdapter struct{ fakeAdapter }

func (*rawAdapter) OpenRawMedia(raw json.RawMessage, ref string) (transports.Media, error) {
	return transports.Media{ReadCloser: io.NopCloser(strings.NewReader(string(raw) + ref)), Size: -1}, nil
}

// newOpener makes an opener whose one transport is what build yields.
func newOpener(t *testing.T, build func(transports.Account) (transports.Transport, error)) *MediaOpener {
	t.Helper()
	o, err := NewMediaOpener(MediaOptions{
		Factories: map[events.Transport]transports.Factory{testKind: build}, OpenSecrets: openTestSecrets,
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func mediaChannel(version int64) events.Channel {
	return events.Channel{
		ID: testChannel, Tenant: testTenant, Transport: testKind, Mode: events.Polling, Version: version, Sealed: []byte("sealed:" + testSecret), WebhookPath: testPath,
	}
}

func TestOpenMedia(t *testing.T) {
	t.Parallel()
	built := 0
	o := newOpener(t, func(a transports.Account) (transports.Transport, error) {
		built++
		return &rawAdapter{fakeAdapter{account: a}}, nil
	})
	for ref, want := range map[string]error{
		"":            nil,
		"ten bytes.":  nil,
		"eleven byte": transports.ErrMediaTooLarge,
	} {
		media, err := o.Open(t.Context(), mediaChannel(1), events.Attachment{Ref: ref}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(media)
		if !errors.Is(err, want) || len(got) > 10 || want == nil && string(got) != ref {
			t.Errorf("%q: read %q, %v", ref, got, err)
		}
		_ = media.Close()
	}
	if _, err := o.Open(t.Context(), mediaChannel(1), events.Attachment{Ref: "x", Size: 11}, nil); !errors.Is(err, transports.ErrMediaTooLarge) {
		t.Errorf("a file that says it is too large: %v", err)
	}
	// What came within the payload is not fetched, so it is as large as it is.
	media, err := o.Open(t.Context(), mediaChannel(1), events.Attachment{Ref: "/2", Size: 11, InRaw: true}, json.RawMessage(`"a long payload"`))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(media); err != nil || string(got) != `"a long payload"/2` {
		t.Errorf("read %q, %v", got, err)
	}
	if built != 1 {
		t.Errorf("built %d adapters for one version", built)
	}
	if _, err := o.Open(t.Context(), mediaChannel(2), events.Attachment{Ref: "x"}, nil); err != nil || built != 2 {
		t.Errorf("built %d adapters for two versions, %v", built, err)
	}
}

func TestOpenMediaFailures(t *testing.T) {
	t.Parallel()
	fail := func() (transports.Media, error) { panic("boom") }
	o := newOpener(t, func(a transports.Account) (transports.Transport, error) {
		return &fakeAdapter{account: a, open: func(context.Context, string) (transports.Media, error) { return fail() }}, nil
	})
	one := events.Attachment{Ref: "x"}
	if _, err := o.Open(t.Context(), mediaChannel(1), one, nil); err == nil {
		t.Error("a panic went unnoticed")
	}
	leak := &hiddenError{"GET /bot" + testSecret, transports.ErrMediaGone}
	fail = func() (transports.Media, error) { return transports.Media{}, leak }
	_, err := o.Open(t.Context(), mediaChannel(1), one, nil)
	if !errors.Is(err, transports.ErrMediaGone) || strings.Contains(err.Error(), testSecret) {
		t.Errorf("%v", err)
	}
	fail = func() (transports.Media, error) {
		return transports.Media{ReadCloser: io.NopCloser(failingReader{leak}), Size: -1}, nil
	}
	media, err := o.Open(t.Context(), mediaChannel(1), one, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(media); !errors.Is(err, transports.ErrMediaGone) || strings.Contains(err.Error(), testSecret) {
		t.Errorf("reading fails with %v", err)
	}

	if _, err := o.Open(t.Context(), mediaChannel(1), events.Attachment{Ref: "x", InRaw: true}, nil); !errors.Is(err, ErrNoMedia) {
		t.Errorf("a payload without files: %v", err)
	}
	unknown := mediaChannel(1)
	unknown.ID, unknown.Transport = "44444444-4444-4444-8444-444444444444", "pigeon"
	if _, err := o.Open(t.Context(), unknown, one, nil); err == nil || errors.Is(err, ErrNoMedia) || !strings.Contains(err.Error(), "pigeon") {
		t.Errorf("a transport that is not there: %v", err)
	}
	broken := newOpener(t, func(transports.Account) (transports.Transport, error) {
		return nil, errors.New("the token " + testSecret + " is odd")
	})
	if _, err := broken.Open(t.Context(), mediaChannel(1), one, nil); err == nil || strings.Contains(err.Error(), testSecret) {
		t.Errorf("an adapter that cannot be built: %v", err)
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
