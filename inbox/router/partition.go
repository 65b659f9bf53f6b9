package router

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"

	"parley/events/jetstream"
	"parley/events/tracing"
	"parley/inbox"
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
			if errors.Is(err, jetstream.ErrReplaced) {
				// No waiting brings back what was there: a person must decide.
				p.log.Error("the partition's stream is another one now", "error", err)
				select {
				case p.router.replaced <- err:
				default:
				}
				break
			}
			p.log.Warn("reading the partition failed, trying again", "error", err)
			inbox.Pause(ctx, 500*time.Millisecond)
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
		inbox.Pause(ctx, ttl/3)
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
	return p.settle(ctx, batch)
}

// settle stores a batch of whole frames, splitting it where the database refuses
// an event.
func (p *partition) settle(ctx context.Context, batch []store.InboundRecord) error {
	err := p.storeOnce(ctx, batch)
	if err == nil || !refused(err) {
		return err
	}
	if half := middle(batch); half > 0 {
		if err := p.settle(ctx, batch[:half]); err != nil {
			return err
		}
		return p.settle(ctx, batch[half:])
	}
	// One frame, which is stored whole or not at all: find the guilty in it.
	for i := range batch {
		if err := p.probe(ctx, batch[i]); err != nil {
			if !refused(err) {
				return err
			}
			p.condemn(&batch[i], err)
		}
	}
	for tries := 1; ; tries++ {
		if err = p.storeOnce(ctx, batch); err == nil || !refused(err) {
			return err
		}
		if !store.IsConstraintError(err) || tries == raceTries {
			break
		}
	}
	// Each alone is taken, together they are not: keep them all for a person.
	for i := range batch {
		p.condemn(&batch[i], err)
	}
	return p.storeOnce(ctx, batch)
}

// refused reports that the database refused a value or a row.
func refused(err error) bool { return store.IsDataError(err) || store.IsConstraintError(err) }

// middle is where to split a batch between two frames, 0 when it is one frame.
func middle(batch []store.InboundRecord) int {
	for d := range len(batch) {
		for _, i := range []int{len(batch)/2 - d, len(batch)/2 + d} {
			if i > 0 && i < len(batch) && batch[i].Seq != batch[i-1].Seq {
				return i
			}
		}
	}
	return 0
}

// raceTries is how often a constraint may refuse an event before it is the event's
// fault: another transaction may have won a race, such as a merge that took the
// sender to another chat, and a fresh look tells. It may win several, while a
// person's program merges many.
const raceTries = 10

// probe tries one event alone, raceTries times where a constraint refuses it.
func (p *partition) probe(ctx context.Context, rec store.InboundRecord) error {
	for tries := 1; ; tries++ {
		err := wait(ctx, p.log, "probing an event", func() error {
			err := p.router.db.Probe(ctx, p.lease, rec)
			if err != nil && refused(err) {
				return backoff.Permanent(err)
			}
			return err
		})
		if err == nil || !store.IsConstraintError(err) || tries == raceTries {
			return err
		}
	}
}

// condemn marks an event for quarantine.
func (p *partition) condemn(rec *store.InboundRecord, err error) {
	p.log.Warn("event put in quarantine", "seq", rec.Seq, "index", rec.Index, "sqlstate", store.SQLState(err))
	rec.Unstorable = &store.Unstorable{
		Reason:   "The database refused it: " + err.Error(),
		SQLState: store.SQLState(err),
	}
}

// storeOnce stores a batch in one transaction, waiting for a database that is
// down. It returns data and constraint errors and ErrFenced.
func (p *partition) storeOnce(ctx context.Context, batch []store.InboundRecord) error {
	err := wait(ctx, p.log, "storing a batch", func() error { return p.attempt(ctx, batch) })
	if err != nil && errors.Is(context.Cause(ctx), store.ErrFenced) && !errors.Is(err, store.ErrFenced) {
		// The lease was lost while the batch was under way and its transaction
		// broke. One more attempt shows that the fence holds, and counts it.
		err = p.attempt(ctx, batch)
	}
	return err
}

// attempt makes one transaction. An error that trying again does not mend is
// permanent.
func (p *partition) attempt(ctx context.Context, batch []store.InboundRecord) error {
	m := p.router.metrics
	started := time.Now()
	// A stop lets the transaction under way finish.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchDeadline)
	defer cancel()
	work, end := p.router.traced(work, batch)
	res, err := p.router.db.StoreBatch(work, p.lease, batch)
	end(res, err)
	switch {
	case err == nil:
		m.stored(batch, res, time.Since(started))
		p.logStored(ctx, batch, res)
		p.wakeRelay()
		return nil
	case errors.Is(err, store.ErrFenced):
		return p.resume(work, err, batch)
	case refused(err):
		return backoff.Permanent(err)
	}
	m.failures.Inc()
	return err
}

// logStored tells of each event by its id, for whoever follows one.
func (p *partition) logStored(ctx context.Context, batch []store.InboundRecord, res store.BatchResult) {
	if !p.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	for i := range batch {
		if ev := batch[i].Event; ev != nil && i < len(res.Outcomes) {
			p.log.DebugContext(tracing.Under(ctx, ev.Trace), "event stored", "event", ev.ID, "outcome", res.Outcomes[i], "seq", batch[i].Seq)
		}
	}
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
