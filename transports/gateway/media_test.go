package gateway

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"parley/transports"
)

func TestOpenMedia(t *testing.T) {
	t.Parallel()
	r := loadedRig(t, func(o *Options) { o.Limits = Limits{Media: 1} })
	for ref, want := range map[string]error{
		"":            nil,
		"ten bytes.":  nil,
		"eleven byte": transports.ErrMediaTooLarge,
	} {
		media, err := r.OpenMedia(t.Context(), testChannel, ref)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(media)
		if !errors.Is(err, want) || len(got) > 10 || want == nil && string(got) != ref {
			t.Errorf("%q: read %q, %v", ref, got, err)
		}
		for range 2 { // closing twice frees one place only
			if err := media.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := r.OpenMedia(t.Context(), "44444444-4444-4444-8444-444444444444", "x"); !errors.Is(err, ErrNoMedia) {
		t.Errorf("a channel that is not there: %v", err)
	}
}

func TestOpenMediaIsBounded(t *testing.T) {
	t.Parallel()
	r := loadedRig(t, func(o *Options) { o.Limits = Limits{Media: 1} })
	open, err := r.OpenMedia(t.Context(), testChannel, "x")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.OpenMedia(ctx, testChannel, "y"); !errors.Is(err, context.Canceled) {
		t.Errorf("a second file: %v", err)
	}
	if err := open.Close(); err != nil {
		t.Error(err)
	}
	next, err := r.OpenMedia(t.Context(), testChannel, "y")
	if err != nil {
		t.Fatal(err)
	}
	_ = next.Close()
}

func TestOpenMediaFailures(t *testing.T) {
	t.Parallel()
	r := loadedRig(t, func(o *Options) { o.Limits = Limits{Media: 1} })
	fail := func() (transports.Media, error) { panic("boom") }
	r.adapter = func(a *fakeAdapter) error {
		a.open = func(context.Context, string) (transports.Media, error) { return fail() }
		return nil
	}
	r.load()
	if _, err := r.OpenMedia(t.Context(), testChannel, "x"); err == nil {
		t.Error("a panic went unnoticed")
	}
	fail = func() (transports.Media, error) {
		return transports.Media{}, &hiddenError{"GET /bot" + testSecret, transports.ErrMediaGone}
	}
	_, err := r.OpenMedia(t.Context(), testChannel, "x")
	if !errors.Is(err, transports.ErrMediaGone) || strings.Contains(err.Error(), testSecret) {
		t.Errorf("%v", err)
	}
}
