package jetstream

import (
	"context"
	"fmt"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"parley/events"
)

// PublishFacts stores facts in the order given and returns nil once all are
// durable. On error some of the first may be stored: publish all of them again,
// subscribers deduplicate by id. Errors are those of [Bus.Publish].
func (b *Bus) PublishFacts(ctx context.Context, facts []events.Fact) error {
	entries, err := factEntries(facts)
	if err != nil {
		return err
	}
	return b.facts.publish(ctx, entries)
}

// ScanFacts calls f with every kept fact of a tenant about one chat, as of now, in
// the order they were published, and stops at its first error, which it returns.
// Records may have Err set. It fails with [ErrUnavailable] when NATS stays away.
func (b *Bus) ScanFacts(ctx context.Context, tenant events.TenantID, chat int64, f func(FactRecord) error) error {
	filter, err := factFilter(tenant, &chat)
	if err != nil {
		return err
	}
	// Not many at once: each costs the server a consumer.
	select {
	case b.catching <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.catching }()
	return scan(ctx, b, factStream, filter, 1, 0, func(m stored) error { return f(decodeFact(m, 0)) })
}

func factEntries(facts []events.Fact) ([]entry, error) {
	entries := make([]entry, 0, len(facts))
	for _, f := range facts {
		subject, err := factSubject(f)
		if err != nil {
			return nil, err
		}
		data, err := f.AppendJSON(nil)
		if err != nil {
			return nil, fmt.Errorf("%w: fact %d: %w", ErrInvalid, f.ID, err)
		}
		entries = append(entries, entry{subject: subject, data: data, trace: f.Trace})
	}
	return entries, nil
}

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
