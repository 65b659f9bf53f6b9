package desk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/inbox"
	"parley/store"
)

const (
	eraseLease = "erasures"
	eraseEvery = 30 * time.Second
	// eraseAgain is how old an erasure is when it is gone over once more: whatever
	// was under way when it happened has ended by then.
	eraseAgain = time.Minute
	// eraseChunk is how many events are looked up at a time.
	eraseChunk = 500
)

// Erase removes a client and everything of theirs for good. The database is rid
// of it when it returns; so are the bus and the blob store, unless they cannot be
// reached just now: then, and in any case a minute later, [Desk.RunErasures] goes
// over them again.
func (d *Desk) Erase(ctx context.Context, tenant events.TenantID, by inbox.Actor, client int64) (inbox.Erasure, error) {
	p, err := d.Store.EraseClient(ctx, tenant, by, client)
	if err != nil {
		return inbox.Erasure{}, err
	}
	if err := d.eraseOutside(context.WithoutCancel(ctx), &p); err != nil {
		d.log().WarnContext(ctx, "an erased client is still on the bus or among the files, will be tried again", "erasure", p.ID, "error", err)
	}
	return p.Erasure, nil
}

// eraseOutside removes what is left on the bus and in the blob store.
func (d *Desk) eraseOutside(ctx context.Context, p *store.PendingErasure) error {
	if err := d.Bus.PutErasure(ctx, jetstream.Erasure{ID: p.ID, Tenant: p.Tenant, At: p.At, Hashes: p.Todo.Identities}); err != nil {
		return err
	}
	for _, chat := range p.Todo.Chats {
		if err := d.Bus.PurgeFacts(ctx, p.Tenant, chat); err != nil {
			return err
		}
	}
	if d.Files != nil {
		if err := d.Files.Remove(ctx, p.Todo.Blobs); err != nil {
			return err
		}
	}
	for partition, seqs := range p.Todo.Frames {
		if err := d.eraseFrames(ctx, partition, seqs); err != nil {
			return err
		}
	}
	return nil
}

// errWaitedFor says that a frame has to stay for now.
var errWaitedFor = errors.New("files of other people in the same frames of the bus are still to be fetched")

// eraseFrames removes frames, also those that hold events of others, whose
// messages are stored. Only files that are read from the payload keep one, until
// they are.
func (d *Desk) eraseFrames(ctx context.Context, partition int, seqs []uint64) error {
	waited, err := d.Store.FramesWaitedFor(ctx, partition, seqs)
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		if slices.Contains(waited, seq) {
			continue
		}
		if err := d.Bus.EraseFrame(ctx, partition, seq); err != nil {
			return err
		}
	}
	if len(waited) > 0 {
		return fmt.Errorf("partition %d: %w", partition, errWaitedFor)
	}
	return nil
}

// RunErasures goes over what was erased once more, in one process at a time,
// until ctx ends.
func (d *Desk) RunErasures(ctx context.Context, owner string) {
	for {
		timer := time.NewTimer(eraseEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		// Kept until it runs out, so that nobody does it again meanwhile.
		_, ours, err := d.Store.AcquireLease(ctx, eraseLease, owner, eraseEvery*9/10)
		if err == nil && ours {
			err = d.FinishErasures(ctx, eraseAgain)
		}
		if err != nil && ctx.Err() == nil {
			d.log().WarnContext(ctx, "erasures are not finished, will be tried again", "error", err)
		}
	}
}

// FinishErasures removes what is left of erasures at least age old: what was
// under way when they happened, and what the provider sent more than once.
func (d *Desk) FinishErasures(ctx context.Context, age time.Duration) error {
	failed := []error{d.finishRemovals(ctx, age)}
	pending, err := d.Store.PendingErasures(ctx, age, 100)
	if err != nil || len(pending) == 0 {
		return errors.Join(append(failed, err)...)
	}
	partitions, all := map[int]bool{}, false
	var done []string
	for i := range pending {
		if err := d.eraseOutside(ctx, &pending[i]); err != nil {
			failed = append(failed, err)
			continue
		}
		// What they sent came by these, unless nothing is known of it any more.
		for p := range pending[i].Todo.Frames {
			partitions[p] = true
		}
		all = all || len(pending[i].Todo.Frames) == 0
		done = append(done, pending[i].ID)
	}
	if err := d.sweepFrames(ctx, func(p int) bool { return all || partitions[p] }, d.Store.Buried); err != nil {
		return errors.Join(append(failed, err)...)
	}
	for _, id := range done {
		failed = append(failed, d.Store.FinishErasure(ctx, id))
	}
	return errors.Join(failed...)
}

// sweepFrames reads partitions up to their checkpoints and removes the frames with
// an event that is erased.
func (d *Desk) sweepFrames(ctx context.Context, wanted func(partition int) bool, erased func(context.Context, []*events.Inbound) ([]bool, error)) error {
	parts, err := d.Store.Partitions(ctx)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if !wanted(p.Partition) || p.LastSeq < 1 {
			continue
		}
		var chunk []*events.Inbound
		var seqs, found []uint64
		look := func() error {
			buried, err := erased(ctx, chunk)
			for i, b := range buried {
				if b {
					found = append(found, seqs[i])
				}
			}
			chunk, seqs = chunk[:0], seqs[:0]
			return err
		}
		if err := d.Bus.Scan(ctx, p.Partition, 1, uint64(p.LastSeq), func(rec jetstream.Record) error {
			if rec.Err != nil {
				return nil
			}
			ev := rec.Event
			ev.Raw = nil
			chunk, seqs = append(chunk, &ev), append(seqs, rec.Seq)
			if len(chunk) == eraseChunk {
				return look()
			}
			return nil
		}); err != nil {
			return err
		}
		if err := look(); err != nil {
			return err
		}
		if err := d.eraseFrames(ctx, p.Partition, slices.Compact(found)); err != nil {
			return err
		}
	}
	return nil
}

// RepeatErasures erases again who is back because the database was restored from
// a backup. It has to end before anything reads the bus: what was stored since
// the backup is read again.
func (d *Desk) RepeatErasures(ctx context.Context) error {
	known := map[string]jetstream.Erasure{}
	var removed []events.TenantID
	if err := d.Bus.Erasures(ctx, func(e jetstream.Erasure) error {
		if e.Whole {
			removed = append(removed, e.Tenant)
		} else {
			known[e.ID] = e
		}
		return nil
	}); err != nil {
		return err
	}
	if err := d.repeatRemovals(ctx, removed); err != nil {
		return err
	}
	unknown, err := d.Store.Unapplied(ctx, slices.Collect(maps.Keys(known)))
	if err != nil {
		return err
	}
	for _, id := range unknown {
		e := known[id]
		if err := d.Store.EraseAgain(ctx, e.Tenant, e.ID, e.At, e.Hashes); err != nil {
			return err
		}
	}
	return nil
}
