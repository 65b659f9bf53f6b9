package jetstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// forgotten is how many times its ttl a silent member's key is kept.
const forgotten = 10

// Present says that member of group is here for ttl from now, and returns how
// many members are: those that were seen to say so within ttl, member included.
// Call it three times per ttl. A member that fell silent is counted until this bus
// has watched its silence for ttl, as with leases; clocks are not compared.
func (b *Bus) Present(ctx context.Context, group, member string, ttl time.Duration) (int, error) {
	prefix := group + "."
	if err := b.kvPut(ctx, leasesBucket, prefix+member, []byte(rand.Text())); err != nil {
		return 0, err
	}
	keys, err := b.membersOf(ctx, prefix)
	if err != nil {
		return 0, err
	}
	here := 1
	for _, key := range keys {
		if key == prefix+member {
			continue
		}
		_, revision, err := b.kvGet(ctx, leasesBucket, key)
		switch {
		case errors.Is(err, ErrNotFound):
			b.leases.forget(key)
		case err != nil:
			return 0, err
		case !b.leases.ripe(key, revision, ttl, b.now()):
			here++
		case b.leases.ripe(key, revision, forgotten*ttl, b.now()):
			if err := b.kvDelete(ctx, leasesBucket, key); err != nil {
				return 0, err
			}
		}
	}
	return here, nil
}

// Absent says that member of group has left.
func (b *Bus) Absent(ctx context.Context, group, member string) error {
	return b.kvDelete(ctx, leasesBucket, group+"."+member)
}

// membersOf lists the keys of the leases that begin with prefix, which ends in a
// dot; deleted ones may be among them.
func (b *Bus) membersOf(ctx context.Context, prefix string) ([]string, error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	s, err := b.js.Stream(ctx, kvStream(leasesBucket))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", leasesBucket, unavailable(err))
	}
	info, err := s.Info(ctx, natsjs.WithSubjectFilter(kvPrefix(leasesBucket)+prefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", leasesBucket, unavailable(err))
	}
	keys := make([]string, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		keys = append(keys, strings.TrimPrefix(subject, kvPrefix(leasesBucket)))
	}
	return keys, nil
}
