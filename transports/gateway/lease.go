package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"parley/events/jetstream"
)

// errNoLease ends what a replica does for a channel that is no longer its own.
var errNoLease = errors.New("the channel's lease is over")

// leaseName is what replicas contend for.
func leaseName(acc *account) string { return "gateway." + string(acc.ch.ID) }

// tend works a shift for an account whenever this replica gets its lease, until
// ctx ends. It starts once the channel's previous account has stopped here:
// settings change one after the other.
func (g *Gateway) tend(ctx context.Context, acc *account, previous <-chan struct{}) {
	if previous != nil {
		<-previous
	}
	if acc.ch.Paused {
		return
	}
	waits := g.pauses()
	for ctx.Err() == nil {
		if !g.share.room(g.table.active()) {
			g.confess(ctx, acc)
			pause(ctx, around(g.limits.Lease/3))
			continue
		}
		asked := time.Now()
		lease, err := g.acquire(ctx, acc)
		switch {
		case err == nil:
			waits.Reset()
			if !g.share.take(g.table.active()) { // others were quicker here
				g.release(ctx, acc, lease)
				continue
			}
			if left := g.hold(ctx, acc, lease, asked); !left {
				g.share.give()
			}
		case errors.Is(err, jetstream.ErrLeaseHeld):
			waits.Reset()
			g.confess(ctx, acc)
			pause(ctx, around(g.limits.Lease/3))
		default:
			g.log.LogAttrs(ctx, slog.LevelDebug, "no lease", append(acc.logAttrs(), slog.String("error", err.Error()))...)
			pause(ctx, waits.NextBackOff())
		}
	}
}

func (g *Gateway) acquire(ctx context.Context, acc *account) (Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, g.limits.Lease)
	defer cancel()
	return g.bus.AcquireLease(ctx, leaseName(acc), g.name, g.limits.Lease)
}

// hold works one shift: until ctx ends, or the lease asked for at asked does, or
// it is left to a replica that holds less, which it reports.
func (g *Gateway) hold(ctx context.Context, acc *account, lease Lease, asked time.Time) (left bool) {
	g.metrics.lease.WithLabelValues(string(acc.ch.ID), string(acc.ch.Transport)).Set(1)
	held, lose := context.WithCancelCause(context.WithoutCancel(ctx))
	defer lose(nil)
	work, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(held, stop)

	// Renewed until the shift has ended, however long its end takes.
	renewing, enough := context.WithCancel(held)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		if err := g.renew(renewing, lease, asked); err != nil {
			g.log.LogAttrs(held, slog.LevelWarn, "channel left to another replica",
				append(acc.logAttrs(), slog.String("error", err.Error()))...)
			lose(err)
		}
	}()
	yielded := make(chan error, 1)
	go func() {
		err := g.yield(work)
		stop()
		yielded <- err
	}()
	s := &shift{Gateway: g, acc: acc, rep: g.newReporter(held, acc), held: held}
	s.work(work)
	stop()
	left = <-yielded != nil
	enough()
	<-renewed
	g.metrics.leave(acc.ch)

	// Only now: whoever takes it next must find nothing of ours running.
	g.release(ctx, acc, lease)
	return left
}

func (g *Gateway) release(ctx context.Context, acc *account, lease Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.limits.Lease/3)
	defer cancel()
	if err := lease.Release(ctx); err != nil && !errors.Is(err, jetstream.ErrLeaseLost) {
		g.log.LogAttrs(ctx, slog.LevelDebug, "lease not released, it runs out by itself",
			append(acc.logAttrs(), slog.String("error", err.Error()))...)
	}
}

// renew keeps a lease until ctx ends, and returns why it could not. Counted from
// before each renewal was asked for, the lease is given up a sixth early: what a
// process does last must be over when somebody else begins.
func (g *Gateway) renew(ctx context.Context, lease Lease, asked time.Time) error {
	ttl := g.limits.Lease
	next := ttl / 3
	for {
		over := asked.Add(ttl - ttl/6)
		if !pause(ctx, min(next, time.Until(over))) {
			return nil
		}
		now := time.Now()
		// A process that was stopped may wake up long after.
		if !now.Before(over) {
			return fmt.Errorf("%w: not renewed in time", errNoLease)
		}
		attempt, cancel := context.WithDeadline(ctx, over)
		err := lease.Renew(attempt)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			asked, next = now, ttl/3
		case errors.Is(err, jetstream.ErrLeaseLost):
			return fmt.Errorf("%w: %w", errNoLease, err)
		default:
			// Another attempt, soon, while there is time.
			next = around(ttl / 15)
			g.log.LogAttrs(ctx, slog.LevelDebug, "lease not renewed yet", slog.String("error", err.Error()))
		}
	}
}
