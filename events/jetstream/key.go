package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// KeyReport is which secret keys a process has, by their IDs. They are among the
// leases: of who runs, and in no backup.
type KeyReport struct {
	// Process is for people.
	Process string   `json:"process"`
	Roles   []string `json:"roles"`
	// Seals is the key that it seals with, Opens all that it has.
	Seals string   `json:"seals"`
	Opens []string `json:"opens"`
	// Ended says that it is not so any more: the process stopped, or seals with another
	// key, of which it speaks apart.
	Ended bool `json:"ended,omitempty"`
	// Age is how long ago it said so, by the server's clock.
	Age time.Duration `json:"-"`
	id  string
}

const keyReports = "keys."

// PutKeyReport replaces what process id, a word of letters and digits, said before of
// itself while it sealed with that key.
func (b *Bus) PutKeyReport(ctx context.Context, id string, r KeyReport) error {
	value, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("%w: report of keys: %w", ErrInvalid, err)
	}
	return b.kvPut(ctx, leasesBucket, keyReports+id+"-"+r.Seals, value)
}

// KeyReports lists what processes said of their keys, also those that are gone.
func (b *Bus) KeyReports(ctx context.Context) (list []KeyReport, err error) {
	keys, err := b.membersOf(ctx, keyReports)
	if err != nil {
		return nil, err
	}
	info, err := b.streamInfo(ctx, kvStream(leasesBucket))
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		r, err := b.keyReport(ctx, key, info.TimeStamp)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

func (b *Bus) keyReport(ctx context.Context, key string, now time.Time) (r KeyReport, err error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	e, err := b.kv[leasesBucket].Get(ctx, key)
	if errors.Is(err, natsjs.ErrKeyNotFound) {
		return r, ErrNotFound
	}
	if err != nil {
		return r, kvError(leasesBucket, key, err)
	}
	if err := kvDecode(leasesBucket, key, e.Value(), &r); err != nil {
		return r, err
	}
	r.Age, r.id = max(now.Sub(e.Created()), 0), strings.TrimPrefix(key, keyReports)
	return r, nil
}

// ForgetKeyReports removes what was said longer than age ago.
func (b *Bus) ForgetKeyReports(ctx context.Context, age time.Duration) error {
	list, err := b.KeyReports(ctx)
	if err != nil {
		return err
	}
	for _, r := range list {
		if r.Age > age {
			err = errors.Join(err, b.kvDelete(ctx, leasesBucket, keyReports+r.id))
		}
	}
	return err
}
