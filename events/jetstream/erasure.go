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

// Erasure is what the bus remembers of an erased client, so that a database that
// is restored from an older backup can be told.
type Erasure struct {
	ID     string          `json:"id"`
	Tenant events.TenantID `json:"tenant"`
	At     time.Time       `json:"at"`
	// Hashes are keyed, of who it was.
	Hashes [][]byte `json:"hashes"`
	// Whole says that it was the tenant, with everything of it.
	Whole bool `json:"whole,omitempty"`
}

// PutErasure remembers an erasure; again is fine.
func (b *Bus) PutErasure(ctx context.Context, e Erasure) error {
	value, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("%w: erasure %s: %w", ErrInvalid, e.ID, err)
	}
	return b.kvPut(ctx, erasuresBucket, e.ID, value)
}

// Erasures calls f with each that is remembered, in no order.
func (b *Bus) Erasures(ctx context.Context, f func(Erasure) error) error {
	return b.kvEach(ctx, erasuresBucket, func(v kvValue) error {
		var e Erasure
		if err := kvDecode(erasuresBucket, v.key, v.value, &e); err != nil {
			return err
		}
		return f(e)
	})
}

// EraseFrame overwrites one frame on the server's disk and removes it; one that is
// not there is removed already. Only for frames behind the checkpoint: a reader
// takes the gap for one that somebody made by hand.
func (b *Bus) EraseFrame(ctx context.Context, partition int, seq uint64) error {
	s, err := b.stream(ctx, partition)
	if err != nil {
		return err
	}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	// The refusal of a delete does not say why in a way to rely on.
	if _, err := s.GetMsg(ctx, seq); errors.Is(err, natsjs.ErrMsgNotFound) {
		return nil
	}
	if err := s.SecureDeleteMsg(ctx, seq); err != nil {
		return fmt.Errorf("erase frame %d of partition %d: %w", seq, partition, unavailable(err))
	}
	return nil
}
