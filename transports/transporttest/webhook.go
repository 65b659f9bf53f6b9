package transporttest

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
)

func (h Harness) webhook(t *testing.T, hook transports.Webhook) {
	if h.Webhook == nil || h.Message == nil {
		return // which the harness has been asked for
	}
	read := caught(func(body []byte) ([]events.Inbound, error) {
		callback, err := hook.ParseWebhook(h.Webhook(body), body)
		return callback.Events, err
	})
	parse := func(t *testing.T, body []byte) []events.Inbound {
		t.Helper()
		evs, err := read(body)
		if err != nil {
			t.Fatalf("%.40q, which proves its origin: %v", body, err)
		}
		return evs
	}
	t.Run("forged", func(t *testing.T) { h.forged(t, hook) })
	t.Run("redelivery has the same key", func(t *testing.T) {
		keys := map[events.MessageKey]bool{}
		for n := range 3 {
			one, two := parse(t, h.Message(n+1, "hello")), parse(t, h.Message(n+1, "hello"))
			if len(one) != 1 || len(two) != 1 {
				t.Fatalf("%d and %d events of one message", len(one), len(two))
			}
			ev := one[0]
			if ev.Kind != events.Message || ev.Content == nil || ev.Content.Text != "hello" || !ev.Person.Identity.Valid() || ev.Person.Address == "" {
				t.Errorf("not the message of a person: %+v", ev)
			}
			if !ev.Key.Valid() || ev.Key != two[0].Key || keys[ev.Key] {
				t.Errorf("keys %+v and %+v, after %v", ev.Key, two[0].Key, keys)
			}
			keys[ev.Key] = true
		}
	})
	t.Run("nothing gets lost", func(t *testing.T) {
		for name, body := range garbage(h.Message) {
			evs := parse(t, body)
			if len(evs) == 0 {
				t.Errorf("%s: no event", name)
			}
			for _, ev := range evs {
				for _, problem := range storable(ev) {
					t.Errorf("%s: %s", name, problem)
				}
			}
		}
	})
	if again, ok := hook.(transports.Reparser); ok {
		t.Run("reads its own payloads again", func(t *testing.T) {
			for _, body := range [][]byte{h.Message(1, "hello"), []byte("<html>"), {}} {
				one := parse(t, body)
				if len(one) == 0 {
					t.Errorf("%.40q: no event", body)
					continue
				}
				two, err := again.Reparse(one[0].Raw)
				if err != nil || len(two) != len(one) || two[0].Key != one[0].Key || two[0].Kind != one[0].Kind {
					t.Errorf("%.40q: %+v, %v; was %+v", body, two, err, one)
				}
			}
		})
	}
}

// forged wants a refusal of each request that does not prove its origin, whatever
// it carries.
func (h Harness) forged(t *testing.T, hook transports.Webhook) {
	for _, body := range [][]byte{h.Message(1, "hello"), {}, []byte("<html>"), bytes.Repeat([]byte{0xFF}, hugeBytes)} {
		for name, spoil := range h.Forgeries {
			r := h.Webhook(body)
			spoil(r)
			callback, err := hook.ParseWebhook(r, body)
			if !errors.Is(err, transports.ErrForged) || len(callback.Events) != 0 {
				t.Errorf("%s: %d events and %v, want ErrForged", name, len(callback.Events), err)
			}
			h.redacted(t, err)
		}
	}
}

// garbage are bodies that no provider should send, by what they are.
func garbage(message func(n int, text string) []byte) map[string][]byte {
	genuine := message(1, "hello")
	mapped := func(digit rune) []byte {
		return bytes.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return digit
			}
			return r
		}, genuine)
	}
	return map[string][]byte{
		"empty":       {},
		"blank":       []byte(" \n"),
		"null":        []byte("null"),
		"number":      []byte("1e999"),
		"array":       []byte("[[],{}]"),
		"object":      []byte("{}"),
		"page":        []byte("<html>"),
		"binary":      {0, 1, 2, 0xFF, 0xFE},
		"NUL":         bytes.ReplaceAll(genuine, []byte("hello"), []byte(`he\u0000llo`)),
		"not UTF-8":   bytes.ReplaceAll(genuine, []byte("hello"), []byte("he\xffllo")),
		"cut":         genuine[:len(genuine)/2],
		"twice":       append(bytes.Clone(genuine), genuine...),
		"digits":      mapped('9'),
		"words":       mapped('x'),
		"deep":        []byte(strings.Repeat(`{"a":[`, 9000)),
		"deep, valid": []byte(strings.Repeat(`[`, 9999) + strings.Repeat(`]`, 9999)),
		"huge":        message(1, strings.Repeat("hello ", 1<<18)),
	}
}

// WithoutHeader spoils a request by taking a header away.
func WithoutHeader(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Del(name) }
}

// WithHeader spoils a request by another value.
func WithHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}
