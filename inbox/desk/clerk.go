package desk

import (
	"context"
	"errors"
	"time"

	"parley/inbox"
	"parley/store"
)

const (
	clerkLease = "clerk"
	// clerkTTL is how long another process waits once this one is dead.
	clerkTTL   = 15 * time.Second
	clerkEvery = time.Second
	// clerkBatch bounds one look at each kind of work.
	clerkBatch = 200
)

// Clerk does what is to be done without anybody asking: it sends scheduled replies
// when they are due, and answers outside the opening hours. It returns when ctx
// ends.
//
// One process holds the lease, so that the others need not look; what makes each
// thing happen once is the row that is changed with it, so a clerk that was frozen
// and goes on does no harm.
func (d *Desk) Clerk(ctx context.Context, owner string) {
	for ctx.Err() == nil {
		lease, ok, err := d.Store.AcquireLease(ctx, clerkLease, owner, clerkTTL)
		if err == nil && ok {
			err = d.clerk(ctx, lease)
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrFenced) {
			d.log().Warn("what waits for its time waits longer", "error", err)
		}
		inbox.Pause(ctx, inbox.Around(clerkEvery))
	}
}

// clerk works while it holds the lease.
func (d *Desk) clerk(ctx context.Context, lease store.Lease) error {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = d.Store.ReleaseLease(ctx, lease) // it runs out anyway
	}()
	for renewed := time.Now(); ; {
		if err := d.ClerkRound(ctx); err != nil {
			return err
		}
		if time.Since(renewed) > clerkTTL/3 {
			var err error
			if lease, err = d.Store.RenewLease(ctx, lease, clerkTTL); err != nil {
				return err
			}
			renewed = time.Now()
		}
		if !inbox.Pause(ctx, clerkEvery) {
			return nil
		}
	}
}

// ClerkRound does what is due now.
func (d *Desk) ClerkRound(ctx context.Context) error {
	return errors.Join(d.releaseScheduled(ctx), d.answerAutomatically(ctx))
}

// releaseScheduled sends the scheduled replies that are due.
func (d *Desk) releaseScheduled(ctx context.Context) error {
	due, err := d.Store.DueReplies(ctx, clerkBatch)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range due {
		can, err := d.abilities(ctx, r.Tenant)
		if err != nil {
			return err
		}
		// One that fails must not keep the others waiting.
		if _, err := d.Store.ReleaseScheduled(ctx, r.Tenant, r.ID, can); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
