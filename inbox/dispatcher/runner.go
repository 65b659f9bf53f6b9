package dispatcher

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// limits of a turn.
const (
	// turnTimeout is how long the database may take for one transaction.
	turnTimeout = 10 * time.Second
	// linger is how long the first answers wait for others to be settled with
	// them, when many are under way.
	linger = 2 * time.Millisecond
	// idleTurns is how many turns in a row may find only lanes that somebody else
	// holds before the next waits for idleWait.
	idleTurns = 3
	idleWait  = 20 * time.Millisecond
)

// runner dispatches one channel. All its state belongs to the goroutine of run,
// but what says otherwise.
type runner struct {
	d       *Dispatcher
	channel events.Channel
	// version of the channel that the adapter was built from; the supervisor's.
	version int64
	adapter adapter
	log     *slog.Logger
	lease   store.Lease
	// leasedUntil is when the lease may run out by our clock, in Unix
	// nanoseconds; kept by the renewing goroutine.
	leasedUntil atomic.Int64

	wakes   chan struct{}
	changes chan adapter
	answers chan answer
	stopped chan struct{} // closed by stop
	isStop  atomic.Bool
	// stoppedAt is when run learnt of it.
	stoppedAt time.Time
	lost      chan struct{} // closed when another process has the lease
	isLost    atomic.Bool
	// present is adapter for the goroutine that asks about what is uncertain;
	// doubts tells it of more.
	present  atomic.Pointer[adapter]
	doubts   chan struct{}
	typings  typings
	gate     *gate
	rates    *rates
	failures *backoff.ExponentialBackOff

	// busy are the requests under way by lane, settling what they ended with.
	busy     map[string]job
	settling []store.Settlement
	// due says that there may be something to claim; nextDue when there will be.
	due     bool
	nextDue time.Time
	// notBefore keeps a database that fails from being asked without pause.
	notBefore time.Time
	cursor    store.LaneCursor
	takenOver bool
	// unsure is set while it is not known whether the last turn happened;
	// unsent are what it would have claimed.
	unsure bool
	unsent []job
	idle   int
	// careful makes turns small after the database refused a value, so that it
	// shows whose it is; poison are deliveries that it refuses.
	careful bool
	poison  map[int64]bool
	// stuck are settlements that the database refuses. Their lanes stay busy.
	stuck []store.Settlement
	// suspect is the delivery that a careful turn was about.
	suspect int64
}

func newRunner(d *Dispatcher, ch events.Channel, a adapter, lease store.Lease, until time.Time) *runner {
	r := &runner{
		d: d, channel: ch, version: ch.Version, adapter: a, lease: lease,
		log:     d.log.With(slog.String("channel", string(ch.ID)), slog.String("transport", string(ch.Transport))),
		wakes:   make(chan struct{}, 1),
		changes: make(chan adapter, 1),
		answers: make(chan answer, d.opts.Concurrency),
		stopped: make(chan struct{}), lost: make(chan struct{}), doubts: make(chan struct{}, 1),
		rates:    newRates(a.caps),
		failures: growing(100*time.Millisecond, 5*time.Second),
		busy:     make(map[string]job, d.opts.Concurrency),
		due:      true,
		poison:   make(map[int64]bool),
	}
	r.leasedUntil.Store(until.UnixNano())
	r.present.Store(&a)
	r.gate = newGate(&d.opts, func(state events.HealthState, words string) {
		d.fares(r.adapter.channel, state, words)
	})
	return r
}

// poke makes the runner look for something to claim. It may be called by
// anybody.
func (r *runner) poke() {
	select {
	case r.wakes <- struct{}{}:
	default: // a look is ahead already
	}
}

// adapt replaces the adapter. It may be called by anybody.
func (r *runner) adapt(a adapter) {
	for {
		select {
		case r.changes <- a:
			return
		case <-r.changes: // one that was never used
		}
	}
}

// stop makes the runner claim nothing more and end once everything under way is
// settled. It may be called by anybody.
func (r *runner) stop() {
	if r.isStop.CompareAndSwap(false, true) {
		close(r.stopped)
	}
}

func (r *runner) stopping() bool { return r.isStop.Load() }

// fenced notes that another process has the lease.
func (r *runner) fenced() {
	if r.isLost.CompareAndSwap(false, true) {
		close(r.lost)
	}
	r.stop()
}

// run dispatches until stopped or fenced. It owns the lease and gives it back.
func (r *runner) run(ctx context.Context) {
	r.log.DebugContext(ctx, "channel taken", slog.Int64("epoch", r.lease.Epoch))
	renewing, stopRenewing := context.WithCancel(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		r.renew(renewing)
	}()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		r.askAboutDoubts(ctx)
	}()
	for !r.finished() {
		if r.canTurn(time.Now()) {
			r.gather()
			r.turn(ctx)
			continue
		}
		r.wait()
	}
	if r.isLost.Load() {
		r.finishFenced(ctx)
	}
	<-asked
	stopRenewing()
	<-renewed
	if !r.isLost.Load() {
		r.d.release(ctx, r.lease)
	}
	r.log.DebugContext(ctx, "channel left", slog.Int64("epoch", r.lease.Epoch))
}

// finished reports whether nothing is left to do.
func (r *runner) finished() bool {
	if r.isLost.Load() {
		return true
	}
	if !r.stopping() {
		return false
	}
	if r.stoppedAt.IsZero() {
		r.stoppedAt = time.Now()
	}
	if len(r.busy) == len(r.stuck) && len(r.settling) == 0 && !r.unsure {
		return true
	}
	// A database that stays away must not keep the process from ending.
	return time.Since(r.stoppedAt) > r.d.opts.SendDeadline+r.d.opts.LeaseTTL
}

// renew keeps the lease until ctx ends or another process has it.
func (r *runner) renew(ctx context.Context) {
	wait := r.d.opts.LeaseTTL / 3
	for inbox.Pause(ctx, wait) {
		asked := time.Now()
		call, cancel := context.WithTimeout(ctx, r.d.opts.LeaseTTL/3)
		_, err := r.d.db.RenewLease(call, r.lease, r.d.opts.LeaseTTL)
		cancel()
		switch {
		case err == nil:
			r.leasedUntil.Store(asked.Add(r.d.opts.LeaseTTL).UnixNano())
			wait = r.d.opts.LeaseTTL / 3
		case errors.Is(err, store.ErrFenced):
			r.fenced()
			return
		default:
			wait = r.d.opts.LeaseTTL / 10
		}
	}
}

// claimable is how many deliveries may be claimed now, and if none, when to look
// again; the zero time means when something ends.
func (r *runner) claimable(now time.Time) (n int, again time.Time) {
	underWay := len(r.busy) - len(r.settling)
	free := r.d.opts.Concurrency - underWay
	if r.stopping() || free <= 0 || now.UnixNano() >= r.leasedUntil.Load() {
		return 0, time.Time{}
	}
	if n = r.gate.allow(now, free, underWay-len(r.stuck)); n == 0 {
		return 0, r.gate.opensAt
	}
	n, wait := r.rates.allow(now, n)
	if n == 0 {
		return 0, now.Add(wait)
	}
	if r.careful {
		n = 1
	}
	return n, time.Time{}
}

// canTurn reports whether a turn has something to do.
func (r *runner) canTurn(now time.Time) bool {
	if now.Before(r.notBefore) {
		return false
	}
	if len(r.settling) > 0 || len(r.answers) > 0 || r.unsure {
		return true
	}
	if !r.due && (r.nextDue.IsZero() || now.Before(r.nextDue)) {
		return false
	}
	n, _ := r.claimable(now)
	return n > 0
}

// wait returns when something has happened that a turn may be about.
func (r *runner) wait() {
	now := time.Now()
	var timer <-chan time.Time
	if at := r.wakeAt(now); !at.IsZero() {
		t := time.NewTimer(at.Sub(now))
		defer t.Stop()
		timer = t.C
	}
	stopped := r.stopped
	if r.stopping() {
		stopped = nil
	}
	select {
	case <-timer:
	case <-r.wakes:
		r.due = true
	case a := <-r.answers:
		r.take(a)
	case a := <-r.changes:
		r.change(a)
	case <-stopped:
	case <-r.lost:
	}
}

// wakeAt is when a turn may be possible without anything happening; zero when
// never.
func (r *runner) wakeAt(now time.Time) time.Time {
	if now.Before(r.notBefore) {
		return r.notBefore
	}
	n, again := r.claimable(now)
	if n > 0 {
		return r.nextDue // as canTurn has said, it is not due yet
	}
	if again.IsZero() && !r.stopping() && now.UnixNano() >= r.leasedUntil.Load() {
		// Not renewed in time; it may be yet.
		return now.Add(r.d.opts.LeaseTTL / 10)
	}
	if !r.due && r.nextDue.After(again) {
		return r.nextDue
	}
	return again
}

func (r *runner) change(a adapter) {
	r.adapter = a
	r.present.Store(&a)
	r.rates = newRates(a.caps)
	r.gate.reset()
	r.due = true
}

// gather collects the answers that are there. While many are under way it waits
// a moment for more: one transaction for many is what makes sending fast.
func (r *runner) gather() {
	select {
	case a := <-r.changes:
		r.change(a)
	case <-r.wakes:
		r.due = true
	default:
	}
	for len(r.answers) > 0 {
		r.take(<-r.answers)
	}
	if len(r.settling) == 0 || len(r.busy) < 2*len(r.settling) {
		return
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for len(r.busy) >= 2*len(r.settling) {
		select {
		case a := <-r.answers:
			r.take(a)
		case <-timer.C:
			return
		case <-r.lost:
			return
		}
	}
}

// finishFenced waits for what is under way and settles what is certain, without
// the lease. Its new owner calls everything uncertain meanwhile.
func (r *runner) finishFenced(ctx context.Context) {
	r.log.WarnContext(ctx, "another process has taken the channel", slog.Int("under_way", len(r.busy)))
	r.d.metrics.fenced.Inc()
	r.settling = append(r.settling, r.stuck...)
	for len(r.busy) > len(r.settling) {
		r.take(<-r.answers)
	}
	for _, j := range r.unsent {
		r.settling = append(r.settling, r.settlement(answer{job: j, err: errNotStarted}))
	}
	r.d.settleLate(ctx, r.settling)
}
