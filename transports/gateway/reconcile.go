package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/transports"
)

const (
	// overlap is how far before the last success a run begins. It covers clocks
	// that differ, and what a provider listed late.
	overlap = 15 * time.Minute
	// again is how long after a recovery what the provider has is compared once
	// more: at first the newest is still left to its webhook, which it may have
	// failed (Twilio's adapter leaves a minute).
	again = 2 * time.Minute
	// apart is the least time between the beginnings of two runs, whoever asks.
	apart = 30 * time.Second
	// stalled is how long a run may go without emitting anything.
	stalled = 15 * time.Minute
	// longestReconcilePause bounds the pauses between failed runs.
	longestReconcilePause = 15 * time.Minute
)

// ErrNoReconcile says that a channel cannot be compared with its provider.
var ErrNoReconcile = errors.New("nothing to compare")

// reconcileEvery is how often an adapter's provider is to be compared with, zero
// when it cannot.
func (g *Gateway) reconcileEvery(name events.Transport, t transports.Transport) (every time.Duration) {
	if _, ok := t.(transports.Reconciler); !ok {
		return 0
	}
	var panicked error
	defer g.contain(name, &panicked)
	return t.Capabilities().Reconcile
}

// Reconcile asks for a comparison of a channel with what its provider has, by
// whichever replica holds its lease, within about a minute. It returns nil once
// the request is durable; ErrNoReconcile where the channel is unknown, paused or
// broken, or its provider cannot list what it has.
func (g *Gateway) Reconcile(ctx context.Context, id events.ChannelID) error {
	acc := g.table.byID(id)
	if acc == nil || acc.reconciler == nil {
		return fmt.Errorf("%w: channel %s is unknown or rests, or its provider cannot list messages", ErrNoReconcile, id)
	}
	ctx, cancel := context.WithTimeout(ctx, g.limits.Publish)
	defer cancel()
	if err := g.bus.AskReconcile(ctx, id); err != nil {
		return fmt.Errorf("ask for a comparison of channel %s: %w", id, err)
	}
	acc.rouse()
	return nil
}

// reconciliation is what one account knows of what its webhooks missed.
type reconciliation struct {
	mu sync.Mutex
	// owed is true from a webhook that was refused until that is on the bus.
	owed bool
	// wake tells the shift, if it is here, to look.
	wake chan struct{}
}

// rouse wakes the shift.
func (a *account) rouse() {
	select {
	case a.missed.wake <- struct{}{}:
	default: // it was not awake since
	}
}

// miss notes a webhook that was refused: its provider may never come again.
func (a *account) miss() {
	if a == nil || a.reconciler == nil {
		return
	}
	a.missed.mu.Lock()
	a.missed.owed = true
	a.missed.mu.Unlock()
	a.rouse()
}

// confess makes known on the bus that a webhook was refused here. That the bus
// takes it is the recovery: until then it is tried again.
func (g *Gateway) confess(ctx context.Context, acc *account) {
	acc.missed.mu.Lock()
	defer acc.missed.mu.Unlock()
	if !acc.missed.owed {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, g.limits.Publish)
	defer cancel()
	if err := g.bus.AskReconcile(ctx, acc.ch.ID); err != nil {
		g.log.LogAttrs(ctx, slog.LevelDebug, "a comparison could not be asked for yet",
			append(acc.logAttrs(), slog.String("error", err.Error()))...)
		return
	}
	acc.missed.owed = false
}

// reconciled is a channel's durable state. Done is what runs rest on; that some
// later webhook was accepted says nothing about the ones before it.
type reconciled struct {
	// First is when the channel was seen first: nothing older is asked for.
	First time.Time `json:"first"`
	// Done is when the last run that succeeded began.
	Done time.Time `json:"done,omitzero"`
	// Asked is the last request that a run answered.
	Asked string `json:"asked,omitempty"`
}

// since is where the next run begins. A Done of the future, by a clock that was
// wrong, does not hide anything from now on.
func (r reconciled) since(now time.Time) time.Time {
	done := r.last()
	if done.After(now) {
		done = now
	}
	if since := done.Add(-overlap); since.After(r.First) {
		return since
	}
	return r.First
}

// last is when all was known to be here.
func (r reconciled) last() time.Time {
	if r.Done.IsZero() {
		return r.First
	}
	return r.Done
}

// reconcile compares what the provider has with what came, at the start, every
// now and then, after a recovery and when somebody asks, until ctx ends or the
// credentials are refused.
func (s *shift) reconcile(ctx context.Context) {
	r := &reconcileRun{shift: s, every: s.acc.every}
	defer s.metrics.reconcile.leave(s.acc.ch.ID)
	if !r.load(ctx) {
		return
	}
	waits := s.pauses()
	waits.MaxInterval = max(s.limits.LongestPause, min(r.every, longestReconcilePause))
	// While nobody was here webhooks failed. A poller missed nothing: its provider
	// kept it behind the cursor.
	recovery := s.acc.ch.Mode == events.Webhook
	next := jitter(5 * s.limits.FirstPause)
	if !recovery {
		next = max(next, around(r.every)-time.Since(r.state.last()))
	}
	for {
		woken, ok := r.await(ctx, next)
		if !ok {
			return
		}
		recovery = recovery || woken
		began := time.Now()
		err := r.once(ctx, began)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, transports.ErrCredentials):
			s.rep.fail(s.held, aspectReconcile, events.NeedsAttention, s.acc.hide.words(err))
			return
		case err != nil:
			r.complain(ctx, err)
			next = delay(err, waits.NextBackOff())
			continue
		}
		waits.Reset()
		s.rep.well(s.held, aspectReconcile)
		next = around(r.every)
		if recovery {
			next = min(next, atLeast(again))
		}
		recovery = false
	}
}

// reconcileRun is the reconciliation of one shift.
type reconcileRun struct {
	*shift
	every time.Duration
	state reconciled
	began time.Time // of the last run
}

// load reads the durable state; a channel without one is new, which is noted
// before anything is asked for. It returns false when ctx ended.
func (r *reconcileRun) load(ctx context.Context) bool {
	seen := time.Now().UTC()
	waits := r.pauses()
	for {
		err := r.read(ctx, seen)
		if err == nil {
			r.metrics.reconcile.succeeded(r.acc.ch, r.state.last())
			return true
		}
		r.log.LogAttrs(ctx, slog.LevelDebug, "how far a channel was compared is not known yet",
			append(r.acc.logAttrs(), slog.String("error", err.Error()))...)
		if !pause(ctx, waits.NextBackOff()) {
			return false
		}
	}
}

func (r *reconcileRun) read(ctx context.Context, seen time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, r.limits.Publish)
	defer cancel()
	text, err := r.bus.Reconciled(ctx, r.acc.ch.ID)
	if err == nil {
		if err = json.Unmarshal([]byte(text), &r.state); err == nil && !r.state.First.IsZero() {
			return nil
		}
		// Better a day twice than a channel that is never compared again.
		r.log.LogAttrs(ctx, slog.LevelWarn, "how far a channel was compared is unreadable, the last day is compared",
			append(r.acc.logAttrs(), slog.Any("error", err))...)
		seen = seen.Add(-24 * time.Hour)
	} else if !errors.Is(err, jetstream.ErrNotFound) {
		return err
	}
	r.state = reconciled{First: seen}
	return r.store(ctx, r.state)
}

func (r *reconcileRun) store(ctx context.Context, state reconciled) error {
	text, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode how far a channel was compared: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.limits.Publish)
	defer cancel()
	return r.bus.SetReconciled(ctx, r.acc.ch.ID, string(text))
}

// await waits until the next run is due: after d, or earlier when somebody asks
// for it or something was missed, which it reports. It returns not ok when ctx
// ended.
func (r *reconcileRun) await(ctx context.Context, d time.Duration) (woken, ok bool) {
	due := time.NewTimer(d)
	defer due.Stop()
	for {
		look := time.NewTimer(around(r.limits.Check))
		select {
		case <-ctx.Done():
			look.Stop()
			return false, false
		case <-due.C:
			look.Stop()
			return false, true
		case <-r.acc.missed.wake:
			woken = true
		case <-look.C:
		}
		look.Stop()
		r.confess(ctx, r.acc)
		if woken || r.wanted(ctx) {
			return true, pause(ctx, time.Until(r.began.Add(apart)))
		}
	}
}

// wanted reports whether somebody, anywhere, asked since the last run.
func (r *reconcileRun) wanted(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, r.limits.Publish)
	defer cancel()
	asked, err := r.bus.ReconcileAsked(ctx, r.acc.ch.ID)
	return err == nil && asked != r.state.Asked
}

// once makes one run, and moves the state once all of it is durable.
func (r *reconcileRun) once(ctx context.Context, began time.Time) error {
	r.began = began
	since := r.state.since(began)
	em := &sweep{run: r}
	next, err := r.sweep(ctx, em, since)
	if ctx.Err() != nil {
		r.metrics.reconcile.ran(r.acc.ch, reconcileCancelled)
		return ctx.Err()
	}
	r.metrics.reconcile.ran(r.acc.ch, em.outcome(err))
	if err != nil {
		return em.blame(err)
	}
	r.state = next
	r.metrics.reconcile.succeeded(r.acc.ch, began)
	level := slog.LevelDebug
	if em.count > 0 {
		level = slog.LevelInfo
	}
	r.log.LogAttrs(ctx, level, "channel compared with its provider", append(r.acc.logAttrs(),
		slog.Time("since", since), slog.Int("events", em.count), slog.Duration("took", time.Since(began)))...)
	return nil
}

// sweep runs the adapter and stores the state behind what it emitted.
func (r *reconcileRun) sweep(ctx context.Context, em *sweep, since time.Time) (next reconciled, err error) {
	defer r.contain(r.acc.ch.Transport, &err)
	read, cancel := context.WithTimeout(ctx, r.limits.Publish)
	asked, err := r.bus.ReconcileAsked(read, r.acc.ch.ID)
	cancel()
	if err != nil {
		return next, em.fail(fmt.Errorf("read what was asked for: %w", err))
	}
	next = reconciled{First: r.state.First, Done: r.began.UTC(), Asked: asked}

	alive, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	em.alive = alive
	em.watch = time.AfterFunc(stalled, func() {
		stop(fmt.Errorf("the provider was listed for %s without a result", stalled))
	})
	defer em.watch.Stop()
	if err := r.acc.reconciler.Reconcile(alive, since, em.emit); err != nil {
		if cause := context.Cause(alive); cause != nil && ctx.Err() == nil {
			err = cause
		}
		return next, err
	}
	// An adapter that went on after an error of ours has not compared it all.
	if err := em.failed(); err != nil {
		return next, err
	}
	if err := r.store(ctx, next); err != nil {
		return next, em.fail(fmt.Errorf("store how far it was compared: %w", err))
	}
	return next, nil
}

// complain tells of a failed run. It is the channel's trouble only once a whole
// run is missing: until then it may well succeed.
func (r *reconcileRun) complain(ctx context.Context, err error) {
	words, last := r.acc.hide.words(err), r.state.last()
	r.log.LogAttrs(ctx, slog.LevelWarn, "channel not compared with its provider, trying again", append(r.acc.logAttrs(),
		slog.Time("last_success", last), slog.String("error", words))...)
	if time.Since(last) < 2*r.every {
		return
	}
	r.rep.fail(r.held, aspectReconcile, events.Degraded, fmt.Sprintf(
		"messages may be missing: what the provider has was last compared with what came at %s; %s",
		last.UTC().Format("2006-01-02 15:04 MST"), words))
}

// sweep takes what one run emits.
type sweep struct {
	run *reconcileRun
	// alive ends with the run: nothing is lost by leaving off, the next one begins
	// where this one did.
	alive context.Context
	watch *time.Timer

	mu    sync.Mutex
	count int
	err   error
}

// emit makes events durable as a webhook's are. After an error every later call
// fails with the same: the state would step over what did not arrive.
func (e *sweep) emit(_ context.Context, evs []events.Inbound) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watch.Reset(stalled)
	if e.err == nil {
		e.err = e.run.accept(e.alive, e.run.acc.ch, evs)
	}
	if e.err == nil {
		e.count += len(evs)
		e.run.metrics.reconcile.events.WithLabelValues(string(e.run.acc.ch.Transport)).Add(float64(len(evs)))
	}
	return e.err
}

// fail notes an error of ours.
func (e *sweep) fail(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
	return err
}

// failed is our own first error.
func (e *sweep) failed() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// outcome names how a run ended, for the metrics.
func (e *sweep) outcome(err error) string {
	var throttled *transports.RetryAfterError
	switch {
	case err == nil:
		return reconcileDone
	case e.failed() != nil:
		return pollBus
	case errors.Is(err, transports.ErrCredentials):
		return pollCredentials
	case errors.As(err, &throttled):
		return pollThrottled
	}
	return pollProvider
}

// blame says whose fault it was.
func (e *sweep) blame(err error) error {
	if ours := e.failed(); ours != nil {
		return fmt.Errorf("what was found waits at the provider until the bus takes it: %w", ours)
	}
	return fmt.Errorf("listing what the provider has failed: %w", err)
}

// jitter is up to d.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * rand.Float64()) //nolint:gosec // jitter is no secret
}
