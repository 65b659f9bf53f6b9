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
	prefix := kvPrefix(bucket)
	return func(m stored) kvValue {
		v := kvValue{key: strings.TrimPrefix(m.subject, prefix), value: m.data, pending: m.pending, seq: m.seq}
		if m.header.Get(kvOperation) != "" {
			v.value = nil
		}
		return v
	}
}

// kvEach calls f once with every key that has a value. A key that is written
// meanwhile comes with its value from before or after.
func (b *Bus) kvEach(ctx context.Context, bucket string, f func(kvValue) error) error {
	unseen, err := b.kvKeys(ctx, bucket)
	if err != nil {
		return err
	}
	decode := decodeKV(bucket)
	err = scan(ctx, b, kvStream(bucket), "", 1, 0, func(m stored) error {
		v := decode(m)
		delete(unseen, v.key)
		if v.value == nil {
			return nil
		}
		return f(v)
	})
	if err != nil {
		return err
	}
	// Written during the scan: the old value went before it was reached, the new
	// one is behind the scan's end.
	for key := range unseen {
		value, revision, err := b.kvGet(ctx, bucket, key)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := f(kvValue{key: key, value: value, seq: revision}); err != nil {
			return err
		}
	}
	return nil
}

// kvKeys is the set of a bucket's keys, deleted ones included.
func (b *Bus) kvKeys(ctx context.Context, bucket string) (map[string]bool, error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	s, err := b.js.Stream(ctx, kvStream(bucket))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", bucket, unavailable(err))
	}
	prefix := kvPrefix(bucket)
	info, err := s.Info(ctx, natsjs.WithSubjectFilter(prefix+">"))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", bucket, unavailable(err))
	}
	keys := make(map[string]bool, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		keys[strings.TrimPrefix(subject, prefix)] = true
	}
	return keys, nil
}

func kvPrefix(bucket string) string { return "$KV." + bucket + "." }

// kvDecode reads JSON from a bucket.
func kvDecode(bucket, key string, data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s in %s is unreadable: %w", key, bucket, err)
	}
	return nil
}
