package dispatcher

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"parley/store"
	"parley/transports"
)

const (
	// typingEvery is how often one person is shown at most that somebody writes:
	// there may be several agents, and processes that tell of them.
	typingEvery = 4 * time.Second
	// typingTimeout bounds one such request; later it would be wrong.
	typingTimeout = 3 * time.Second
	// typingsAtOnce bounds those of a channel that are under way.
	typingsAtOnce = 8
	// mostTyped is how many people are remembered before those are forgotten who
	// may be shown it again.
	mostTyped = 1000
)

// typings are whom it was shown lately that somebody writes to them.
type typings struct {
	mu       sync.Mutex
	last     map[string]time.Time
	underWay int
	// quiet is until when the provider wants none.
	quiet time.Time
}

// take reports whether to show it now, which done ends.
func (t *typings) take(to string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.quiet) || t.underWay >= typingsAtOnce || now.Sub(t.last[to]) < typingEvery {
		return false
	}
	if t.last == nil {
		t.last = make(map[string]time.Time)
	}
	if len(t.last) >= mostTyped {
		for who, at := range t.last {
			if now.Sub(at) >= typingEvery {
				delete(t.last, who)
			}
		}
	}
	t.last[to] = now
	t.underWay++
	return true
}

func (t *typings) done(quiet time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.underWay--
	if quiet.After(t.quiet) {
		t.quiet = quiet
	}
}

// typing shows a person that somebody writes to them, if this process holds the
// channel and the transport can. It is a courtesy: nothing waits for it, is tried
// again or told when it fails.
func (d *Dispatcher) typing(t store.Typing) {
	d.mu.Lock()
	r := d.runners[t.Channel]
	d.mu.Unlock()
	if r == nil || r.stopping() {
		return
	}
	a := r.present.Load()
	typer, ok := a.transport.(transports.Typer)
	if !ok || !a.caps.Typing || !r.typings.take(t.To, time.Now()) {
		return
	}
	d.late.Go(func() {
		err := r.showTyping(typer, t.To)
		var quiet time.Time
		var refused *transports.SendError
		if errors.As(err, &refused) && refused.RetryAfter > 0 {
			quiet = time.Now().Add(honoured(refused.RetryAfter))
		}
		r.typings.done(quiet)
		if err != nil {
			r.log.DebugContext(d.life, "it was not shown that somebody writes", slog.Any("error", err))
		}
	})
}

func (r *runner) showTyping(typer transports.Typer, to string) (err error) {
	ctx, cancel := context.WithTimeout(r.d.life, typingTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			r.log.ErrorContext(ctx, "an adapter panicked while showing that somebody writes", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = errors.New("it broke off because of a bug")
		}
	}()
	return typer.Typing(ctx, to)
}
