package gateway

import (
	"context"
	"sync"
	"time"

	"parley/events"
	"parley/events/jetstream"
)

// Bus is what the gateway needs of the bus; [OnJetStream] is the real one. Errors
// are those of package jetstream.
type Bus interface {
	// Publish returns nil only once every event is durable, in this order where
	// they share a person.
	Publish(ctx context.Context, evs ...events.Inbound) error
	// WatchChannels delivers every channel there is, then Ready, and then what
	// changes, until ctx ends and the Go channel closes. A deleted channel is
	// told as such: that one is not delivered says nothing about it.
	WatchChannels(ctx context.Context) (<-chan jetstream.ChannelChange, error)
	// Cursor is where polling of a channel stands; jetstream.ErrNotFound when it
	// never began.
	Cursor(ctx context.Context, id events.ChannelID) (string, error)
	// SetCursor returns nil only once the cursor is durable.
	SetCursor(ctx context.Context, id events.ChannelID, cursor string) error
	// Reconciled is up to where a channel was compared with its provider;
	// jetstream.ErrNotFound when it never was.
	Reconciled(ctx context.Context, id events.ChannelID) (string, error)
	// SetReconciled returns nil only once that is durable.
	SetReconciled(ctx context.Context, id events.ChannelID, state string) error
	// AskReconcile asks for a comparison by whoever holds the channel's lease, and
	// ReconcileAsked names the last such request, empty when there was none.
	AskReconcile(ctx context.Context, id events.ChannelID) error
	ReconcileAsked(ctx context.Context, id events.ChannelID) (string, error)
	// AcquireLease takes a lease that ends after ttl unless it is renewed. It does
	// not wait: one that is held yields jetstream.ErrLeaseHeld. Owner is for
	// people.
	AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (Lease, error)
	// Present says that a member of a group is here for ttl, and returns how many
	// members are, this one included; Absent that it left.
	Present(ctx context.Context, group, member string, ttl time.Duration) (int, error)
	Absent(ctx context.Context, group, member string) error
	// PutHealth replaces what is known of a channel's health.
	PutHealth(ctx context.Context, h events.ChannelHealth) error
	// LastHealth is what was put last, by whichever replica, a few seconds old at
	// most; jetstream.ErrNotFound when nothing was.
	LastHealth(ctx context.Context, id events.ChannelID) (events.ChannelHealth, error)
}

// Lease is the right to act for a name, held by one process at a time.
type Lease interface {
	// Renew extends it by its time to live; jetstream.ErrLeaseLost means that it
	// is over, any other error that it still runs.
	Renew(ctx context.Context) error
	// Release ends it, so that another can take it at once.
	Release(ctx context.Context) error
}

// OnJetStream is a gateway's bus on NATS.
func OnJetStream(bus *jetstream.Bus) Bus { return &jetStreamBus{Bus: bus} }

var (
	_ Bus   = (*jetStreamBus)(nil)
	_ Lease = (*jetstream.Lease)(nil)
)

// jetStreamBus adds what has another shape there.
type jetStreamBus struct {
	*jetstream.Bus

	mu     sync.Mutex
	health map[events.ChannelID]events.ChannelHealth
	readAt time.Time
}

// AcquireLease implements [Bus].
func (b *jetStreamBus) AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (Lease, error) {
	l, err := b.Bus.AcquireLease(ctx, name, owner, ttl)
	if err != nil {
		return nil, err // a nil *jetstream.Lease would not be a nil Lease
	}
	return l, nil
}

// healthAge is how long one reading of all channels' health serves: at a start
// every channel asks for its own.
const healthAge = 3 * time.Second

// LastHealth implements [Bus].
func (b *jetStreamBus) LastHealth(ctx context.Context, id events.ChannelID) (events.ChannelHealth, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.health == nil || time.Since(b.readAt) > healthAge {
		all, err := b.Health(ctx)
		if err != nil {
			return events.ChannelHealth{}, err
		}
		b.health, b.readAt = make(map[events.ChannelID]events.ChannelHealth, len(all)), time.Now()
		for _, h := range all {
			b.health[h.Channel] = h
		}
	}
	h, ok := b.health[id]
	if !ok {
		return h, jetstream.ErrNotFound
	}
	return h, nil
}
