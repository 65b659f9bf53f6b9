package transporttest

import (
	"context"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"parley/events"
	"parley/transports"
)

// call is one thing that an account can be asked to do.
type call func(ctx context.Context) error

// calls are all that leave the process, by name, for the roles that the account
// plays.
func (h Harness) calls(account transports.Transport) map[string]call {
	all := map[string]call{}
	caps := account.Capabilities()
	if c, ok := account.(transports.Connector); ok {
		all["Check"] = func(ctx context.Context) error { _, err := c.Check(ctx); return err }
		all["Connect"] = func(ctx context.Context) error { return c.Connect(ctx, "https://parley.example/hook") }
		all["Connect to nothing"] = func(ctx context.Context) error { return c.Connect(ctx, "") }
	}
	if p, ok := account.(transports.Poller); ok {
		all["Poll"] = func(ctx context.Context) error {
			return p.Poll(ctx, "", func(context.Context, []events.Inbound, string) error { return nil })
		}
	}
	if m, ok := account.(transports.MediaOpener); ok {
		all["OpenMedia"] = func(ctx context.Context) error {
			media, err := m.OpenMedia(ctx, "ref")
			if err == nil {
				_ = media.Close()
			}
			return err
		}
	}
	if r, ok := account.(transports.Reconciler); ok {
		all["Reconcile"] = func(ctx context.Context) error {
			return r.Reconcile(ctx, time.Now().Add(-time.Hour), func(context.Context, []events.Inbound) error { return nil })
		}
	}
	if ty, ok := account.(transports.Typer); ok && caps.Typing {
		all["Typing"] = func(ctx context.Context) error { return ty.Typing(ctx, h.To) }
	}
	for name, c := range h.outcomes(account) {
		all[name] = c
	}
	return all
}

// outcomes are the calls whose errors are of the type *transports.SendError, and
// Settle, whose answers are proof.
func (h Harness) outcomes(account transports.Transport) map[string]call {
	all := map[string]call{}
	caps := account.Capabilities()
	if s, ok := account.(transports.Sender); ok {
		for _, one := range h.parts(caps) {
			all["Send "+one.name] = func(ctx context.Context) error { _, err := s.Send(ctx, one.part); return err }
		}
	}
	if e, ok := account.(transports.Editor); ok && caps.Edits {
		all["Edit"] = func(ctx context.Context) error {
			return e.Edit(ctx, transports.Change{To: h.To, ProviderID: "1", Text: "other"})
		}
	}
	if r, ok := account.(transports.Reactor); ok && caps.Reactions {
		all["React"] = func(ctx context.Context) error { return r.React(ctx, h.To, "1", []string{"👍"}) }
	}
	if s, ok := account.(transports.Settler); ok {
		all["Settle"] = func(ctx context.Context) error {
			sent := h.parts(caps)
			if len(sent) == 0 {
				return context.Canceled
			}
			_, err := s.Settle(ctx, sent[0].part, time.Now().Add(-time.Hour))
			return err
		}
	}
	return all
}

// cancel wants every call to end within a second of being told to, while the
// provider is silent.
func (h Harness) cancel(t *testing.T) {
	account, _ := h.account(t, Offline)
	for _, name := range slices.Sorted(maps.Keys(h.calls(account))) {
		t.Run(name, func(t *testing.T) {
			if h.On != nil {
				h.cancelled(t, name)
				return
			}
			synctest.Test(t, func(t *testing.T) {
				account, taken := h.account(t, Silent)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- h.calls(account)[name](ctx) }()
				synctest.Wait() // until it waits for the provider
				if taken() == 0 {
					t.Error("nothing was asked of the provider")
				}
				began := time.Now()
				cancel()
				h.ended(t, <-done, time.Since(began))
			})
		})
	}
}

// cancelled is cancel in real time: it may take a second longer than the call's
// own deadline.
func (h Harness) cancelled(t *testing.T, name string) {
	account, _ := h.account(t, Silent)
	const deadline = 300 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	began := time.Now()
	err := h.calls(account)[name](ctx)
	h.ended(t, err, time.Since(began)-deadline)
}

func (h Harness) ended(t *testing.T, err error, took time.Duration) {
	t.Helper()
	if took > time.Second {
		t.Errorf("took %v to stop", took)
	}
	if err == nil {
		t.Error("it says that it succeeded, while the provider was silent")
	}
	h.redacted(t, err)
}

// poll wants a poller to ask, to keep the order, and to lose nothing.
func (h Harness) poll(t *testing.T) {
	if h.Polled == nil || h.Message == nil {
		return // which the harness has been asked for
	}
	t.Run("in order", func(t *testing.T) { h.pollInOrder(t) })
}
