package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"parley/events"
)

// PublishFacts stores facts in the order given and returns nil once all are
// durable. On error some of the first may be stored: publish all of them again,
// subscribers deduplicate by id. Errors are those of [Bus.Publish].
func (b *Bus) PublishFacts(ctx context.Context, facts []events.Fact) error {
	entries := make([]entry, 0, len(facts))
	for _, f := range facts {
		subject, err := factSubject(f)
		if err != nil {
			return err
		}
		data, err := f.AppendJSON(nil)
		if err != nil {
			return fmt.Errorf("%w: fact %d: %w", ErrInvalid, f.ID, err)
		}
		entries = append(entries, entry{subject: subject, data: data})
	}
	return b.facts.publish(ctx, entries)
}

// FactOptions say which facts to read.
type FactOptions struct {
	// Tenant is needed: nobody reads the facts of all.
	Tenant events.TenantID
	// AfterSeq is the resume point, the last [FactRecord.Seq] that was handled;
	// 0 is the oldest fact that is kept.
	AfterSeq uint64
	// NewOnly begins with what is published from now on; AfterSeq must be 0.
	NewOnly bool
	// Chat restricts the facts to one chat; 0 is all.
	Chat int64
}

// FactRecord is a stored fact.
type FactRecord struct {
	// Seq is the resume point behind this fact. Numbers skip: they are counted
	// over all tenants.
	Seq      uint64
	StoredAt time.Time
	Fact     events.Fact
	// Err says why the stored message is no fact, when it is none.
	Err error
}

// FactReader delivers facts in the order they were published.
type FactReader struct{ f *follower[FactRecord] }

// Facts starts reading. It fails with [ErrReset] when facts behind AfterSeq may
// be gone already, or AfterSeq is of a stream that was replaced: load the state
// anew and go on with NewOnly.
func (b *Bus) Facts(ctx context.Context, o FactOptions) (*FactReader, error) {
	var chat *int64
	if o.Chat != 0 {
		chat = &o.Chat
	}
	filter, err := factFilter(o.Tenant, chat)
	if err != nil {
		return nil, err
	}
	if o.NewOnly && o.AfterSeq != 0 {
		return nil, fmt.Errorf("%w: NewOnly and AfterSeq exclude each other", ErrInvalid)
	}
	info, err := b.streamInfo(ctx, factStream)
	if err != nil {
		return nil, err
	}
	first, last := info.State.FirstSeq, info.State.LastSeq
	if o.AfterSeq > last || o.AfterSeq > 0 && o.AfterSeq+1 < first {
		return nil, fmt.Errorf("%w: facts %d to %d are kept, not those after %d", ErrReset, first, last, o.AfterSeq)
	}
	after := o.AfterSeq
	if o.NewOnly {
		after = last
	}
	f, err := followFrom(ctx, b, factStream, filter, after, true, func(m stored) FactRecord {
		r := FactRecord{Seq: m.seq, StoredAt: m.at}
		if err := json.Unmarshal(m.data, &r.Fact); err != nil {
			r.Fact = events.Fact{}
			r.Err = fmt.Errorf("message %d is not a fact: %w", m.seq, err)
		}
		return r
	}, func(FactRecord) int { return 1 })
	if errors.Is(err, ErrReplaced) {
		err = fmt.Errorf("%w: %w", ErrReset, err)
	}
	if err != nil {
		return nil, err
	}
	return &FactReader{f}, nil
}

// Next waits for a fact and returns it with those already here, at most limit.
// The error is ctx's, [ErrClosed], or [ErrReset] when the stream was
// replaced or the reader fell behind what is kept.
func (r *FactReader) Next(ctx context.Context, limit int) ([]FactRecord, error) {
	recs, err := r.f.next(ctx, limit)
	if errors.Is(err, ErrReplaced) {
		err = fmt.Errorf("%w: %w", ErrReset, err)
	}
	return recs, err
}

// Close ends the reader and whoever waits in Next.
func (r *FactReader) Close() { r.f.close() }

// PurgeFacts erases a tenant's stored facts about one chat; chat 0 means those
// about none.
func (b *Bus) PurgeFacts(ctx context.Context, tenant events.TenantID, chat int64) error {
	filter, err := factFilter(tenant, &chat)
	if err != nil {
		return err
	}
	return b.purgeFacts(ctx, filter)
}

// PurgeTenantFacts erases all of a tenant's stored facts.
func (b *Bus) PurgeTenantFacts(ctx context.Context, tenant events.TenantID) error {
	filter, err := factFilter(tenant, nil)
	if err != nil {
		return err
	}
	return b.purgeFacts(ctx, filter)
}

func (b *Bus) purgeFacts(ctx context.Context, filter string) error {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	s, err := b.js.Stream(ctx, factStream)
	if err != nil {
		return fmt.Errorf("purge facts: %w", unavailable(err))
	}
	if err := s.Purge(ctx, natsjs.WithPurgeSubject(filter)); err != nil {
		return fmt.Errorf("purge facts: %w", unavailable(err))
	}
	return nil
}
