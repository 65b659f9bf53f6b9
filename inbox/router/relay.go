package router

import (
	"context"
	"errors"
	"time"

	"parley/events/jetstream"
	"parley/inbox"
	"parley/store"
)

const (
	relayLease = "facts-relay"
	// relayRows are read at once; a row may hold the facts of a whole batch.
	relayRows = 100
	// relayBusy is how many facts make a publication worth its price.
	relayBusy = 100
	// relayPoll bounds how long facts of another process's router wait.
	relayPoll = 100 * time.Millisecond
	// relayPause lets facts gather: each publication costs the disk and the bus
	// the same, however many they are. Where they are many, a longer pause halves
	// that.
	relayPause     = 20 * time.Millisecond
	relayPauseBusy = 80 * time.Millisecond
)

// relay publishes facts for as long as this process holds the relay's lease:
// by presence in id order, then deleted. After a crash between the two, and where
// two believe that they hold the lease, the log finds what is published already.
func (r *Router) relay(ctx context.Context) {
	for ctx.Err() == nil {
		lease, ok, err := r.db.AcquireLease(ctx, relayLease, r.opts.Owner, r.opts.LeaseTTL)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("facts relay cannot ask for its lease, trying again", "error", err)
		}
		if !ok {
			inbox.Pause(ctx, r.opts.LeaseTTL/4)
			continue
		}
		r.relayUnder(ctx, lease)
	}
}

func (r *Router) relayUnder(ctx context.Context, lease store.Lease) {
	defer func() {
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = r.db.ReleaseLease(release, lease) // it runs out by itself
	}()
	facts := r.bus.FactLog()
	timer := time.NewTimer(relayPoll)
	defer timer.Stop()
	renewAt := time.Now().Add(r.opts.LeaseTTL / 3)
	for ctx.Err() == nil {
		if time.Now().After(renewAt) {
			renewed, err := r.db.RenewLease(ctx, lease, r.opts.LeaseTTL)
			if errors.Is(err, store.ErrFenced) {
				r.log.Warn("facts relay lost its lease")
				return
			}
			if err == nil {
				lease = renewed
				renewAt = time.Now().Add(r.opts.LeaseTTL / 3)
			}
		}
		n, more, err := r.relayOnce(ctx, facts)
		switch {
		case err != nil && ctx.Err() == nil:
			r.metrics.relayFailures.Inc()
			r.log.Warn("facts wait in the database: publishing failed, trying again", "error", err)
			inbox.Pause(ctx, time.Second)
		case n == 0:
			timer.Reset(relayPoll)
			select {
			case <-ctx.Done():
			case <-r.factsWaiting:
				inbox.Pause(ctx, relayPause)
			case <-timer.C:
			}
		case more:
		case n >= relayBusy:
			inbox.Pause(ctx, relayPauseBusy)
		default:
			inbox.Pause(ctx, relayPause)
		}
	}
}

// relayOnce publishes what waits, and says how many facts that were and whether
// more wait.
func (r *Router) relayOnce(ctx context.Context, facts *jetstream.FactLog) (n int, more bool, err error) {
	rows, err := r.db.Facts(ctx, relayRows)
	if err != nil || len(rows.Facts) == 0 {
		return 0, false, err
	}
	end := r.tracedFacts(ctx, rows.Facts)
	err = facts.Publish(ctx, rows.Facts)
	end(err)
	if err != nil {
		return 0, false, err
	}
	r.metrics.relayed.Add(float64(len(rows.Facts)))
	// Published facts go, whether or not somebody asks us to stop.
	if err := r.db.DeleteFacts(context.WithoutCancel(ctx), rows); err != nil {
		return len(rows.Facts), false, err
	}
	facts.Settle()
	return len(rows.Facts), rows.Rows() == relayRows, nil
}
