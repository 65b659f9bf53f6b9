package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/transports"
)

// The reasons that parley_gateway_poll_errors_total tells apart.
const (
	pollCredentials = "credentials"
	pollThrottled   = "throttled"
	pollBus         = "bus"
	pollProvider    = "provider"
)

// poll asks the provider for news until ctx ends or the credentials are refused,
// each time from the durable cursor.
func (s *shift) poll(ctx context.Context) {
	waits := s.pauses()
	for {
		em := &emitter{s: s, alive: ctx.Err, moved: waits.Reset}
		began := time.Now()
		err := s.pollOnce(ctx, em)
		if ctx.Err() != nil {
			return
		}
		if err == nil || time.Since(began) >= s.limits.Settled {
			waits.Reset()
		}
		if err == nil {
			// The adapter saw all there is and came back.
			s.rep.well(s.held, aspectPoll)
			if !pause(ctx, around(s.limits.FirstPause)) {
				return
			}
			continue
		}
		why, words := em.blame(err)
		s.metrics.pollErrors.WithLabelValues(string(s.acc.ch.Transport), why).Inc()
		if why == pollCredentials {
			s.rep.fail(s.held, aspectPoll, events.NeedsAttention, words)
			return
		}
		s.rep.fail(s.held, aspectPoll, events.Degraded, words)
		s.log.LogAttrs(ctx, slog.LevelDebug, "poll ended",
			append(s.acc.logAttrs(), slog.String("reason", why), slog.String("error", words))...)
		if !pause(ctx, delay(err, waits.NextBackOff())) {
			return
		}
	}
}

// pollOnce runs the adapter from the durable cursor.
func (s *shift) pollOnce(ctx context.Context, em *emitter) (err error) {
	defer s.contain(s.acc.ch.Transport, &err)
	read, cancel := context.WithTimeout(ctx, s.limits.Publish)
	cursor, err := s.bus.Cursor(read, s.acc.ch.ID)
	cancel()
	if err != nil && !errors.Is(err, jetstream.ErrNotFound) {
		return em.fail(fmt.Errorf("read the cursor: %w", err))
	}
	// A long poll that brings nothing is as good as one that does.
	quiet, end := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		if pause(quiet, s.limits.Settled) {
			s.rep.well(s.held, aspectPoll)
		}
	})
	defer watch.Wait()
	defer end()
	return s.acc.poller.Poll(ctx, cursor, em.emit)
}

// emitter is the Emit of one Poll call.
type emitter struct {
	s *shift
	// alive is nil until the shift ends.
	alive func() error
	moved func()

	mu  sync.Mutex
	err error
}

// emit implements [transports.Emit]. After an error every later call fails with
// the same: a cursor that moved on would step over the events that did not.
func (e *emitter) emit(_ context.Context, evs []events.Inbound, cursor string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = e.alive()
	}
	if e.err == nil {
		// Under the lease alone: what was begun when the program ends is finished,
		// or the next start would fetch it again.
		e.err = e.take(e.s.held, evs, cursor)
	}
	return e.err
}

// take makes the events durable, and only then the cursor behind them.
func (e *emitter) take(ctx context.Context, evs []events.Inbound, cursor string) error {
	if err := e.s.accept(ctx, e.s.acc.ch, evs); err != nil {
		return err
	}
	if cursor != "" {
		ctx, cancel := context.WithTimeout(ctx, e.s.limits.Publish)
		defer cancel()
		if err := e.s.bus.SetCursor(ctx, e.s.acc.ch.ID, cursor); err != nil {
			return fmt.Errorf("store the cursor: %w", err)
		}
	}
	e.moved()
	e.s.rep.well(e.s.held, aspectPoll)
	return nil
}

// fail notes an error of ours.
func (e *emitter) fail(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
	return err
}

// blame says whose fault a failed poll is, and in words for people.
func (e *emitter) blame(err error) (why, words string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	hide := e.s.acc.hide
	var throttled *transports.RetryAfterError
	switch {
	case e.err != nil && reason(e.err) == reasonTooLarge:
		return pollBus, "a message waits at the provider: " + hide.words(e.err)
	case e.err != nil:
		return pollBus, "messages wait at the provider until the bus takes them: " + hide.words(e.err)
	case errors.Is(err, transports.ErrCredentials):
		return pollCredentials, hide.words(err)
	case errors.As(err, &throttled):
		return pollThrottled, "the provider asked to wait: " + hide.words(err)
	}
	return pollProvider, "asking for news failed: " + hide.words(err)
}
