package transporttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
)

func (h Harness) webhook(t *testing.T, hook transports.Webhook) {
	parse := func(t *testing.T, body []byte) []events.Inbound {
		t.Helper()
		callback, err := hook.ParseWebhook(h.Webhook(body), body)
		if err != nil {
			t.Fatalf("a request that proves its origin: %v", err)
		}
		return callback.Events
	}
	t.Run("forged", func(t *testing.T) {
		if len(h.Forgeries) == 0 {
			t.Error("the harness knows no forgeries")
		}
		body := h.Message(1, "hello")
		for name, spoil := range h.Forgeries {
			r := h.Webhook(body)
			spoil(r)
			callback, err := hook.ParseWebhook(r, body)
			if !errors.Is(err, transports.ErrForged) || len(callback.Events) != 0 {
				t.Errorf("%s: %d events and %v, want ErrForged", name, len(callback.Events), err)
			}
			h.redacted(t, err)
		}
	})
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
		message := h.Message(1, "hello")
		for name, body := range map[string][]byte{
			"empty":       {},
			"blank":       []byte(" \n"),
			"null":        []byte("null"),
			"number":      []byte("1e999"),
			"array":       []byte("[[],{}]"),
			"object":      []byte("{}"),
			"page":        []byte("<html>"),
			"binary":      {0, 1, 2, 0xFF, 0xFE},
			"NUL":         bytes.ReplaceAll(message, []byte("hello"), []byte(`he\u0000llo`)),
			"not UTF-8":   bytes.ReplaceAll(message, []byte("hello"), []byte("he\xffllo")),
			"cut":         message[:len(message)/2],
			"twice":       append(bytes.Clone(message), message...),
			"digits":      bytes.Map(func(r rune) rune { return map[bool]rune{true: '9', false: r}[r >= '0' && r <= '9'] }, message),
			"words":       bytes.Map(func(r rune) rune { return map[bool]rune{true: 'x', false: r}[r >= '0' && r <= '9'] }, message),
			"deep":        []byte(strings.Repeat(`{"a":[`, 9000)),
			"deep, valid": []byte(strings.Repeat(`[`, 9999) + strings.Repeat(`]`, 9999)),
			"huge":        h.Message(1, strings.Repeat("hello ", 1<<20)),
		} {
			evs := parse(t, body)
			if len(evs) == 0 {
				t.Errorf("%s: no event", name)
			}
			for _, ev := range evs {
				h.storable(t, name, ev)
			}
		}
	})
	if again, ok := hook.(transports.Reparser); ok {
		t.Run("reads its own payloads again", func(t *testing.T) {
			for _, body := range [][]byte{h.Message(1, "hello"), []byte("<html>"), {}} {
				one := parse(t, body)
				two, err := again.Reparse(one[0].Raw)
				if err != nil || len(two) != len(one) || two[0].Key != one[0].Key || two[0].Kind != one[0].Kind {
					t.Errorf("%.40q: %+v, %v; was %+v", body, two, err, one)
				}
			}
		})
	}
}

// storable wants an event that survives the way through the bus into the
// database: with its payload, valid JSON, and no NUL bytes in what is text.
func (h Harness) storable(t *testing.T, name string, ev events.Inbound) {
	t.Helper()
	if ev.Kind == "" || len(ev.Raw) == 0 || !json.Valid(ev.Raw) {
		t.Errorf("%s: kind %q, raw %.40q", name, ev.Kind, ev.Raw)
	}
	if ev.Kind == events.Ignored && ev.Reason == "" {
		t.Errorf("%s: ignored without a reason", name)
	}
	stored, err := json.Marshal(ev)
	if err != nil {
		t.Errorf("%s: the event has no JSON form: %v", name, err)
	}
	var back events.Inbound
	if err := json.Unmarshal(stored, &back); err != nil {
		t.Errorf("%s: the event's JSON form cannot be read: %v", name, err)
	}
	ev.Raw = nil
	if stored, err = json.Marshal(ev); err != nil || bytes.Contains(stored, []byte(`\u0000`)) {
		t.Errorf("%s: a NUL byte is left: %v", name, err)
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
