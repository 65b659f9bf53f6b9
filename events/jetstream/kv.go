package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// kvOperation marks deletions in a bucket's stream
// (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-8.md).
const kvOperation = "KV-Operation"

// errRace means that somebody else wrote the key in between.
var errRace = errors.New("key changed meanwhile")

// kvGet reads a key: revision 0 and ErrNotFound when there is none.
func (b *Bus) kvGet(ctx context.Context, bucket, key string) ([]byte, uint64, error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	e, err := b.kv[bucket].Get(ctx, key)
	switch {
	case errors.Is(err, natsjs.ErrKeyNotFound):
		return nil, 0, fmt.Errorf("%w: %s in %s", ErrNotFound, key, bucket)
	case err != nil:
		return nil, 0, kvError(bucket, key, err)
	}
	return e.Value(), e.Revision(), nil
}

// kvSwap writes a key if it is still at revision, 0 meaning that there is none;
// errRace otherwise.
func (b *Bus) kvSwap(ctx context.Context, bucket, key string, value []byte, revision uint64) (uint64, error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	var next uint64
	var err error
	if revision == 0 {
		next, err = b.kv[bucket].Create(ctx, key, value)
	} else {
		next, err = b.kv[bucket].Update(ctx, key, value, revision)
	}
	var api *natsjs.APIError
	switch {
	case errors.Is(err, natsjs.ErrKeyExists),
		errors.As(err, &api) && api.ErrorCode == natsjs.JSErrCodeStreamWrongLastSequence:
		return 0, errRace
	case err != nil:
		return 0, kvError(bucket, key, err)
	}
	return next, nil
}

func (b *Bus) kvPut(ctx context.Context, bucket, key string, value []byte) error {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	if _, err := b.kv[bucket].Put(ctx, key, value); err != nil {
		return kvError(bucket, key, err)
	}
	return nil
}

// kvDelete removes a key and its history; that there is none is fine.
func (b *Bus) kvDelete(ctx context.Context, bucket, key string) error {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	if err := b.kv[bucket].Purge(ctx, key); err != nil {
		return kvError(bucket, key, err)
	}
	return nil
}

func kvError(bucket, key string, err error) error {
	if errors.Is(err, natsjs.ErrInvalidKey) {
		return fmt.Errorf("%w: %q cannot be a key", ErrInvalid, key)
	}
	return fmt.Errorf("%s in %s: %w", key, bucket, unavailable(err))
}

// kvValue is a key's current state as its bucket's stream holds it.
type kvValue struct {
	key     string
	value   []byte // nil once deleted
	pending uint64
	seq     uint64
}

func decodeKV(bucket string) func(stored) kvValue {
	prefix := "$KV." + bucket + "."
	return func(m stored) kvValue {
		v := kvValue{key: strings.TrimPrefix(m.subject, prefix), value: m.data, pending: m.pending, seq: m.seq}
		if m.header.Get(kvOperation) != "" {
			v.value = nil
		}
		return v
	}
}

// kvEach calls f with every key that has a value.
func (b *Bus) kvEach(ctx context.Context, bucket string, f func(kvValue) error) error {
	decode := decodeKV(bucket)
	// A key written during the scan comes again later: the last one counts, and
	// it is then beyond the scan's end.
	return scan(ctx, b, kvStream(bucket), 1, 0, func(m stored) error {
		if v := decode(m); v.value != nil {
			return f(v)
		}
		return nil
	})
}

// kvDecode reads JSON from a bucket.
func kvDecode(bucket, key string, data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s in %s is unreadable: %w", key, bucket, err)
	}
	return nil
}
