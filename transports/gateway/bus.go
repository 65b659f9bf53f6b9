package gateway

import (
	"context"
	"time"

	"parley/events"
)

// Bus is what the gateway needs of the bus; [OnJetStream] is the real one. Errors
// are those of package jetstream.
type Bus interface {
	// Publish returns nil only once every event is durable, in this order where
	// they share a person.
	Publish(ctx context.Context, evs ...events.Inbound) error
	// FollowChannels reports every channel there is, then that it did, and then
	// what changes, from one goroutine, until ctx ends or the bus fails.
	FollowChannels(ctx context.Context, f ChannelFollower) error
	// Cursor is where polling of a channel stands, empty when it never began.
	Cursor(ctx context.Context, ch events.ChannelID) (string, error)
	// SetCursor returns nil only once the cursor is durable.
	SetCursor(ctx context.Context, ch events.ChannelID, cursor string) error
	// AcquireLease takes a lease that ends after ttl unless it is renewed. It does
	// not wait: one that is held yields jetstream.ErrLeaseHeld.
	AcquireLease(ctx context.Context, name string, ttl time.Duration) (Lease, error)
	// PutHealth replaces what is known of a channel's health.
	PutHealth(ctx context.Context, h Health) error
}

// Lease is the right to act for a name, held by one process at a time.
type Lease interface {
	// Renew extends it by its time to live; jetstream.ErrLeaseLost means that it
	// is over.
	Renew(ctx context.Context) error
	// Release ends it, so that another can take it at once.
	Release(ctx context.Context) error
}

// ChannelFollower is told about channels.
type ChannelFollower interface {
	// Put reports a channel that appeared or changed.
	Put(ch events.Channel)
	// Deleted reports a channel that is gone.
	Deleted(id events.ChannelID)
	// Loaded reports that every channel that existed at the start was put.
	Loaded()
}

// Health is how a channel fares.
type Health struct {
	Channel events.ChannelID   `json:"channel"`
	Tenant  events.TenantID    `json:"tenant"`
	State   events.HealthState `json:"state"`
	Since   time.Time          `json:"since"`
	Error   string             `json:"error,omitempty"`
}
