package router

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"

	"parley/events/jetstream"
	"parley/store"
)

// partition is the work on one partition under one lease.
type partition struct {
	router *Router
	lease  *store.PartitionLease
	log    *slog.Logger
}

// run stores batches until the lease is lost or ctx ends, then gives the lease
// back.
func (p *partition) run(ctx context.Context) {
	p.log.Info("partition taken", "from", p.lease.LastSeq+1)
	ctx, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		p.keep(ctx, cancel)
	}()
	for ctx.Err() == nil {
		if err := p.route(ctx); err != nil && ctx.Err() == nil {
			if errors.Is(err, store.ErrFenced) {
				cancel(err)
				break
			}
			p.log.Warn("reading the partition failed, trying again", "error", err)
			sleep(ctx, 500*time.Millisecond)
		}
	}
	cancel(nil)
	<-renewed
	if errors.Is(context.Cause(ctx), store.ErrFenced) {
		p.log.Warn("partition lost to another router", "at", p.lease.LastSeq)
		return
	}
	release, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	if err := p.router.db.ReleasePartition(release, p.lease); err != nil {
		p.log.Warn("lease not given back; it runs out by itself", "error", err)
	}
}

// keep renews the lease, and ends the work when the lease is lost or could not
// be renewed in time.
func (p *partition) keep(ctx context.Context, cancel context.CancelCauseFunc) {
	ttl := p.router.opts.LeaseTTL
	for {
		sleep(ctx, ttl/3)
		if ctx.Err() != nil {
			return
		}
		err := p.router.db.RenewPartition(ctx, p.lease, ttl)
		if errors.Is(err, store.ErrFenced) {
			cancel(err)
			return
		}
		if err != nil && ctx.Err() == nil {
			// Whoever takes over fences us, so going on does no harm.
			p.log.Warn("lease not renewed, trying again", "error", err)
		}
	}
}

// route reads from behind the checkpoint and stores what comes.
func (p *partition) route(ctx context.Context) error {
	reader, err := p.router.bus.Reader(ctx, p.lease.Partition, p.lease.LastSeq)
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		records, err := reader.Next(ctx, p.router.opts.MaxBatch)
		if err != nil {
			return err
		}
		if err := p.store(ctx, records); err != nil {
			return err
		}
	}
}

// store stores the records in order, however often it takes.
func (p *partition) store(ctx context.Context, records []jetstream.Record) error {
	batch := make([]store.InboundRecord, len(records))
	for i := range records {
		batch[i] = decode(&records[i])
	}
	if first := batch[0].Seq; first != p.lease.LastSeq+1 {
		p.log.Error("records are missing from the stream: they were deleted by hand; the audit shows them",
			"from", p.lease.LastSeq+1, "to", first-1)
	}
	return p.settle(ctx, batch, 0)
}

// settle stores a batch, splitting it where the database refuses an event.
// tries counts how often a constraint refused this same event alone.
func (p *partition) settle(ctx context.Context, batch []store.InboundRecord, tries int) error {
	err := p.storeOnce(ctx, batch)
	switch {
	case err == nil:
		return nil
	case !store.IsDataError(err) && !store.IsConstraintError(err):
		return err
	case len(batch) > 1:
		half := len(batch) / 2
		if err := p.settle(ctx, batch[:half], 0); err != nil {
			return err
		}
		return p.settle(ctx, batch[half:], 0)
	case store.IsConstraintError(err) && tries == 0:
		// Another transaction may have won a race; a fresh look tells.
		return p.settle(ctx, batch, tries+1)
	}
	p.log.Warn("event put in quarantine", "seq", batch[0].Seq, "sqlstate", store.SQLState(err))
	batch[0].Unstorable = &store.Unstorable{
		Reason:   "The database refused it: " + err.Error(),
		SQLState: store.SQLState(err),
	}
	return p.storeOnce(ctx, batch)
}

// storeOnce stores a batch in one transaction, waiting for a database that is
// down. It returns data and constraint errors and ErrFenced.
func (p *partition) storeOnce(ctx context.Context, batch []store.InboundRecord) error {
	m := p.router.metrics
	return wait(ctx, p.log, "storing a batch", func() error {
		started := time.Now()
		// A stop lets the transaction under way finish.
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchDeadline)
		defer cancel()
		res, err := p.router.db.StoreBatch(work, p.lease, batch)
		switch {
		case err == nil:
			m.stored(batch, res, time.Since(started))
			p.wakeRelay()
			return nil
		case errors.Is(err, store.ErrFenced):
			return p.resume(ctx, err, batch)
		case store.IsDataError(err) || store.IsConstraintError(err):
			return backoff.Permanent(err)
		}
		m.failures.Inc()
		return err
	})
}

// batchDeadline bounds a transaction from our side; the database's own
// statement timeout is the same.
const batchDeadline = 60 * time.Second

// errReread says that the batch was stored after all: go on behind it.
var errReread = errors.New("the batch was stored although its answer was lost")

// resume tells a lost lease from a commit whose answer was lost.
func (p *partition) resume(ctx context.Context, cause error, batch []store.InboundRecord) error {
	err := p.router.db.ReloadPartition(ctx, p.lease)
	switch {
	case err == nil && p.lease.LastSeq >= batch[len(batch)-1].Seq:
		return backoff.Permanent(errReread)
	case err == nil:
		return cause
	case errors.Is(err, store.ErrFenced):
		p.router.metrics.fenced.Inc()
		if err := p.router.db.CountFenced(ctx, p.lease.Partition); err != nil {
			p.log.Warn("fenced batch not counted", "error", err)
		}
		return backoff.Permanent(err)
	}
	return err
}

func (p *partition) wakeRelay() {
	select {
	case p.router.factsWaiting <- struct{}{}:
	default:
	}
}
