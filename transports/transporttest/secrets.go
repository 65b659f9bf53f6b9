package transporttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"parley/events"
	"parley/transports"
)

// redacted wants no secret in an error or in anything it unwraps to.
func (h Harness) redacted(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, format := range []string{"%v", "%+v", "%#v"} {
		words := fmt.Sprintf(format, err)
		for _, secret := range h.Secrets {
			if strings.Contains(words, secret) {
				t.Errorf("a secret is in the error, as %s", format)
			}
		}
	}
	var inner []error
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		inner = many.Unwrap()
	} else {
		inner = []error{errors.Unwrap(err)}
	}
	for _, e := range inner {
		h.redacted(t, e)
	}
}

// secrets lets every call of every role fail in several ways, the provider's
// answer repeating the secrets among them.
func (h Harness) secrets(t *testing.T) {
	for _, network := range broken() {
		t.Run(network.String(), func(t *testing.T) {
			account, _ := h.account(t, network)
			calls, outcomes := h.calls(account), h.outcomes(account)
			for _, name := range slices.Sorted(maps.Keys(calls)) {
				err := calls[name](t.Context())
				if err == nil {
					t.Errorf("no error of %s", name)
					continue
				}
				h.redacted(t, err)
				_, owes := outcomes[name]
				switch {
				case name == "Settle":
					if errors.Is(err, transports.ErrNotFound) {
						t.Errorf("Settle takes a broken network for proof: %v", err)
					}
				case owes:
					h.sendError(t, err)
				}
			}
		})
	}
	if len(h.Recorded) == 0 {
		return
	}
	t.Run("events", func(t *testing.T) {
		read := h.read(t)
		for _, p := range h.Recorded {
			evs, err := read(p.Body)
			h.redacted(t, err)
			for _, ev := range evs {
				h.eventRedacted(t, p.Name, ev)
			}
		}
	})
}

// eventRedacted looks at all of an event but what the provider itself wrote.
func (h Harness) eventRedacted(t *testing.T, name string, ev events.Inbound) {
	t.Helper()
	ev.Raw = nil
	kept, err := json.Marshal(ev)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for _, secret := range h.Secrets {
		if bytes.Contains(kept, []byte(secret)) {
			t.Errorf("%s: a secret is in the event", name)
		}
	}
}

// watchLogs wants no secret in what is logged until the test ends. Adapters have
// no logger; whoever uses the program's own by the back door is seen here.
func watchLogs(t *testing.T, secrets []string) {
	t.Helper()
	var lines logged
	oldWriter, oldFlags, oldDefault := log.Writer(), log.Flags(), slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.SetOutput(&lines)
	t.Cleanup(func() {
		slog.SetDefault(oldDefault)
		log.SetOutput(oldWriter)
		log.SetFlags(oldFlags)
		for _, secret := range secrets {
			if strings.Contains(lines.String(), secret) {
				t.Error("a secret was logged")
			}
		}
	})
}

// logged is what was written to it.
type logged struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements [io.Writer].
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
