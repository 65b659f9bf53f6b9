package router

import (
	"context"
	"fmt"
	"time"

	"parley/inbox"
	"parley/store"
)

const (
	housekeepingEvery = time.Minute
	// updatePatience is how long an edit, reaction or status waits for its
	// message before it is shown alone.
	updatePatience = time.Hour
	expireBatch    = 100
)

// housekeeping runs what is due now and then, in every process: each step may
// be repeated and done by several at once.
func (r *Router) housekeeping(ctx context.Context) {
	for {
		inbox.Pause(ctx, housekeepingEvery)
		if ctx.Err() != nil {
			return
		}
		if err := r.purge(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("old stream records stay", "error", err)
		}
		if err := r.expire(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("updates without a message stay waiting", "error", err)
		}
		// Every router's life leaves a row by which it was counted.
		if err := r.db.SweepLeases(ctx, "router:", time.Hour); err != nil && ctx.Err() == nil {
			r.log.Warn("presence of routers long gone stays", "error", err)
		}
	}
}

// purge removes what every partition has stored and retention no longer asks
// for.
func (r *Router) purge(ctx context.Context) error {
	parts, err := r.db.Partitions(ctx)
	if err != nil {
		return err
	}
	for _, p := range parts {
		// Purge takes what is below its bound: the checkpoint itself stays, as
		// the stream's proof that it is still the same.
		if _, err := r.bus.Purge(ctx, p.Partition, uint64(p.LastSeq), r.opts.Retention); err != nil { //nolint:gosec // a stream sequence
			return fmt.Errorf("partition %d: %w", p.Partition, err)
		}
	}
	return nil
}

func (r *Router) expire(ctx context.Context) error {
	for {
		n, err := r.db.ExpireUpdates(ctx, updatePatience, expireBatch)
		if err != nil || n < expireBatch {
			return err
		}
	}
}

// observe keeps the gauges that need a look at bus and database.
func (r *Router) observe(ctx context.Context) {
	for ctx.Err() == nil {
		look, cancel := context.WithTimeout(ctx, 5*time.Second)
		if err := r.look(look); err != nil && ctx.Err() == nil {
			r.log.Debug("gauges not refreshed", "error", err)
		}
		cancel()
		inbox.Pause(ctx, 5*time.Second)
	}
}

func (r *Router) look(ctx context.Context) error {
	parts, err := r.db.Partitions(ctx)
	if err != nil {
		return err
	}
	streams, err := r.bus.Streams(ctx)
	if err != nil {
		return err
	}
	for _, s := range streams {
		if s.Partition >= len(parts) {
			continue
		}
		p := parts[s.Partition]
		var age time.Duration
		if s.LastSeq > uint64(p.LastSeq) { //nolint:gosec // a stream sequence
			if frame, err := r.bus.Get(ctx, s.Partition, uint64(p.LastSeq)+1); err == nil { //nolint:gosec // a stream sequence
				age = time.Since(frame[0].StoredAt)
			}
		}
		r.metrics.partition(p, s.LastSeq, age)
	}
	waiting, oldest, err := r.db.FactBacklog(ctx)
	if err != nil {
		return err
	}
	r.metrics.facts(waiting, oldest)
	return nil
}

// Ready says what this router waits for, in words; empty when it routes.
func (r *Router) Ready(ctx context.Context) string {
	var missing string
	parts, err := r.db.Partitions(ctx)
	switch {
	case err != nil:
		missing = "the database does not answer: " + err.Error()
	case len(parts) == 0:
		missing = "the partitions are not registered yet"
	default:
		missing = unowned(parts)
	}
	return missing
}

func unowned(parts []store.Partition) string {
	for _, p := range parts {
		if p.Owner == nil {
			return fmt.Sprintf("partition %d has no router yet", p.Partition)
		}
	}
	return ""
}
