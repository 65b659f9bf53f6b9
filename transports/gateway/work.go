package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"parley/events"
	"parley/transports"
)

// shift is what one replica does for one account under one lease: connect, poll,
// check. Its methods end when the context they are given does, which is when the
// program or the account ends, or the lease.
type shift struct {
	*Gateway
	acc *account
	rep *reporter
	// ours is true once the provider named our address as its own.
	ours bool
	// held ends with the lease only. What was begun when the program ends is
	// finished under it: an emit moves its cursor, a health is told.
	held context.Context
}

// work does the shift. A channel that needs attention keeps its lease and rests,
// so that no other replica asks a provider what was refused already.
func (s *shift) work(ctx context.Context) {
	if s.acc.broken != "" {
		s.rep.fail(s.held, aspectSetup, events.NeedsAttention, s.acc.broken)
		s.rest(ctx)
		return
	}
	if s.connect(ctx) {
		active, stop := context.WithCancel(ctx)
		defer stop()
		var tasks sync.WaitGroup
		tasks.Go(func() {
			defer stop()
			s.check(active)
		})
		if s.acc.ch.Mode == events.Polling {
			tasks.Go(func() {
				defer stop()
				s.poll(active)
			})
		}
		if s.acc.reconciler != nil {
			tasks.Go(func() {
				defer stop()
				s.reconcile(active)
			})
		}
		tasks.Wait()
	}
	s.rest(ctx)
}

// rest waits for ctx, and makes known what the bus did not take so far.
func (s *shift) rest(ctx context.Context) {
	for pause(ctx, around(s.limits.Check)) {
		s.rep.tell(s.held)
	}
}

// connect tells the provider where to deliver, again and again until it took
// it. It returns false when ctx ended or the credentials were refused.
func (s *shift) connect(ctx context.Context) bool {
	if s.acc.connector == nil {
		s.rep.well(s.held, aspectConnect)
		return true
	}
	waits := s.pauses()
	for {
		err := s.call(ctx, "connect", func(ctx context.Context) error {
			return s.acc.connector.Connect(ctx, s.acc.webhookURL(s.publicURL))
		})
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil:
			s.rep.well(s.held, aspectConnect)
			return true
		case errors.Is(err, transports.ErrCredentials):
			s.rep.fail(s.held, aspectConnect, events.NeedsAttention, s.acc.hide.words(err))
			return false
		}
		s.rep.fail(s.held, aspectConnect, events.Degraded, "connecting failed: "+s.acc.hide.words(err))
		if !pause(ctx, delay(err, waits.NextBackOff())) {
			return false
		}
	}
}

// check asks the provider about the channel, at once and then every now and
// then, until ctx ends or the credentials are refused.
func (s *shift) check(ctx context.Context) {
	for {
		next := around(s.limits.Check)
		s.rep.tell(s.held)
		if s.acc.connector != nil {
			var report transports.Report
			err := s.call(ctx, "check", func(ctx context.Context) (err error) {
				report, err = s.acc.connector.Check(ctx)
				return err
			})
			switch {
			case ctx.Err() != nil:
				return
			case errors.Is(err, transports.ErrCredentials):
				s.rep.fail(s.held, aspectCheck, events.NeedsAttention, s.acc.hide.words(err))
				return
			case err != nil:
				s.rep.fail(s.held, aspectCheck, events.Degraded, "the provider could not be asked: "+s.acc.hide.words(err))
				next = delay(err, next)
			default:
				s.rep.checked(s.held, report.Pending, s.undelivered(report))
				if s.displaced(report) && !s.reconnect(ctx) {
					return
				}
			}
		}
		if !pause(ctx, next) {
			return
		}
	}
}

// fresh is how old a delivery error may be and still say something about now.
// Providers go on reporting their last one long after it was overcome.
const fresh = 5 * time.Minute

// undelivered is what a provider says it could not deliver, if that is still so.
func (s *shift) undelivered(report transports.Report) string {
	overcome := time.Unix(0, s.acc.lastAccepted.Load()).After(report.LastErrorAt)
	if report.LastError == "" || overcome || time.Since(report.LastErrorAt) > fresh {
		return ""
	}
	return "the provider could not deliver: " + s.acc.hide.words(errors.New(report.LastError))
}

// displaced reports whether the provider delivers elsewhere than it was told. A
// transport that never names its address is believed.
func (s *shift) displaced(report transports.Report) bool {
	if report.WebhookURL == s.acc.webhookURL(s.publicURL) {
		s.ours = true
		return false
	}
	return s.ours || report.WebhookURL != ""
}

// reconnect takes a channel back from whoever told its provider something else.
// It stays degraded until the provider confirms: two programs that share an
// account take it from each other for ever, and somebody should see that.
func (s *shift) reconnect(ctx context.Context) bool {
	s.rep.fail(s.held, aspectDelivery, events.Degraded,
		"the provider delivered elsewhere: another program uses this account, or changed where it delivers; connecting again")
	return s.connect(ctx)
}

// call makes one bounded call of the adapter.
func (s *shift) call(ctx context.Context, name string, f func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.Call)
	defer cancel()
	defer func() {
		if err == nil || errors.Is(err, context.Canceled) {
			return
		}
		s.metrics.callErrors.WithLabelValues(string(s.acc.ch.Transport), name).Inc()
		s.log.LogAttrs(ctx, slog.LevelDebug, "provider call failed",
			append(s.acc.logAttrs(), slog.String("call", name), slog.String("error", s.acc.hide.words(err)))...)
	}()
	defer s.contain(s.acc.ch.Transport, &err)
	return f(ctx)
}

// delay is how long to wait after err: what the provider asked for, else usual.
func delay(err error, usual time.Duration) time.Duration {
	var throttled *transports.RetryAfterError
	if errors.As(err, &throttled) && throttled.After > 0 {
		return max(atLeast(throttled.After), usual)
	}
	return usual
}
