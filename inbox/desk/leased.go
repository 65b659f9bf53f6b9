package desk

import (
	"context"
	"errors"
	"time"

	"parley/store"
)

// leaseTTL is how long others wait for the work of a process that died.
const leaseTTL = 15 * time.Second

// leased does work that one process at a time should do: it waits for the lease of
// that name, renews it while work runs, and ends work's context when it is lost.
// Work may be under way twice for a moment, and has to bear that.
func (d *Desk) leased(ctx context.Context, name, owner string, work func(ctx context.Context)) {
	for ctx.Err() == nil {
		lease, ok, err := d.Store.AcquireLease(ctx, name, owner, leaseTTL)
		if err != nil && ctx.Err() == nil {
			d.log().WarnContext(ctx, "a lease cannot be asked for, trying again", "lease", name, "error", err)
		}
		if !ok {
			pause(ctx, leaseTTL/4)
			continue
		}
		d.holding(ctx, lease, work)
	}
}

func (d *Desk) holding(ctx context.Context, lease store.Lease, work func(ctx context.Context)) {
	held, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer stop()
		work(held)
	}()
	for held.Err() == nil {
		pause(held, leaseTTL/3)
		renewed, err := d.Store.RenewLease(held, lease, leaseTTL)
		switch {
		case err == nil:
			lease = renewed
		case errors.Is(err, store.ErrFenced), time.Until(lease.Until) < 0:
			stop()
		}
	}
	<-done
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = d.Store.ReleaseLease(release, lease) // it runs out by itself
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
