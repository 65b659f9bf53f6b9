package desk

import (
	"context"
	"errors"
	"fmt"

	"parley/events"
	"parley/events/jetstream"
)

// ErrReset says that facts behind the resume point are no longer kept: load the
// state anew, then follow what is new.
var ErrReset = errors.New("the facts behind the resume point are no longer kept")

// TailFrom says which facts to follow.
type TailFrom struct {
	Tenant events.TenantID
	// Chat restricts it to one chat; 0 is all.
	Chat int64
	// After is the resume point, 0 for the oldest fact that is kept.
	After uint64
	// New follows only what happens from now on.
	New bool
}

// Tail follows facts in the order they were published. It is used by one
// goroutine.
type Tail struct {
	reader *jetstream.FactReader
	log    func(error)
}

// Followed is a fact with where to resume behind it.
type Followed struct {
	Fact   events.Fact
	Resume uint64
}

// Tail starts following; the caller closes it. It fails with ErrReset.
func (d *Desk) Tail(ctx context.Context, from TailFrom) (*Tail, error) {
	reader, err := d.Bus.Facts(ctx, jetstream.FactOptions{
		Tenant: from.Tenant, Chat: from.Chat, AfterSeq: from.After, NewOnly: from.New,
	})
	if err != nil {
		return nil, fmt.Errorf("following facts: %w", reset(err))
	}
	log := d.log()
	return &Tail{reader: reader, log: func(err error) { log.WarnContext(ctx, "not a fact", "error", err) }}, nil
}

// tailBatch bounds one answer of Next.
const tailBatch = 100

// Next waits for facts. Its error is ctx's, ErrReset, or the bus's, after which
// the tail is over.
func (t *Tail) Next(ctx context.Context) ([]Followed, error) {
	recs, err := t.reader.Next(ctx, tailBatch)
	facts := make([]Followed, 0, len(recs))
	for _, r := range recs {
		if r.Err != nil {
			t.log(r.Err) // somebody else's message
			continue
		}
		facts = append(facts, Followed{Fact: r.Fact, Resume: r.Seq})
	}
	return facts, reset(err)
}

// Close ends it.
func (t *Tail) Close() { t.reader.Close() }

func reset(err error) error {
	if errors.Is(err, jetstream.ErrReset) {
		return fmt.Errorf("%w: %w", ErrReset, err)
	}
	return err
}
