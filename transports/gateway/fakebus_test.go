package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"parley/events"
	"parley/events/jetstream"
)

// fakeBus is a bus in memory, shared by as many gateways as a test starts. It
// keeps a log of what became durable, in order.
type fakeBus struct {
	// Hooks fail a call before it takes effect, or hold it up.
	onPublish   func(ctx context.Context, evs []events.Inbound) error
	onSetCursor func(cursor string) error
	onPutHealth func(Health) error
	onRenew     func() error

	mu        sync.Mutex
	events    []events.Inbound
	log       []string // "event <ProviderEvent>" and "cursor <value>"
	cursors   map[events.ChannelID]string
	channels  map[events.ChannelID]events.Channel
	followers map[chan change]bool
	leases    map[string]*fakeLease
	health    []Health
}

// change is what followers are told; done is closed once they took it in.
type change struct {
	put  events.Channel
	gone events.ChannelID
	fail error
	done chan struct{}
}

func newFakeBus() *fakeBus {
	return &fakeBus{
		cursors:   make(map[events.ChannelID]string),
		channels:  make(map[events.ChannelID]events.Channel),
		followers: make(map[chan change]bool),
		leases:    make(map[string]*fakeLease),
	}
}

var _ Bus = (*fakeBus)(nil)

func (b *fakeBus) Publish(ctx context.Context, evs ...events.Inbound) error {
	if b.onPublish != nil {
		if err := b.onPublish(ctx, evs); err != nil {
			return err
		}
	}
	for i := range evs {
		if _, err := json.Marshal(&evs[i]); err != nil {
			return jetstream.ErrInvalid
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range evs {
		b.events = append(b.events, evs[i])
		b.log = append(b.log, "event "+evs[i].ProviderEvent)
	}
	return nil
}

func (b *fakeBus) Cursor(_ context.Context, ch events.ChannelID) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cursors[ch], nil
}

func (b *fakeBus) SetCursor(ctx context.Context, ch events.ChannelID, cursor string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.onSetCursor != nil {
		if err := b.onSetCursor(cursor); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cursors[ch] = cursor
	b.log = append(b.log, "cursor "+cursor)
	return nil
}

func (b *fakeBus) PutHealth(ctx context.Context, h Health) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.onPutHealth != nil {
		if err := b.onPutHealth(h); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.health = append(b.health, h)
	return nil
}

func (b *fakeBus) FollowChannels(ctx context.Context, f ChannelFollower) error {
	updates := make(chan change)
	b.mu.Lock()
	b.followers[updates] = true
	for _, ch := range b.channels {
		f.Put(ch)
	}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.followers, updates)
	}()
	f.Loaded()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-updates:
			switch {
			case c.fail != nil:
				close(c.done)
				return c.fail
			case c.gone != "":
				f.Deleted(c.gone)
			default:
				f.Put(c.put)
			}
			close(c.done)
		}
	}
}

// tell lets every follower take in a change before it returns.
func (b *fakeBus) tell(c change) {
	b.mu.Lock()
	followers := make([]chan change, 0, len(b.followers))
	for u := range b.followers {
		followers = append(followers, u)
	}
	b.mu.Unlock()
	for _, u := range followers {
		c.done = make(chan struct{})
		u <- c
		<-c.done
	}
}

// put creates or changes a channel.
func (b *fakeBus) put(ch events.Channel) {
	b.mu.Lock()
	b.channels[ch.ID] = ch
	b.mu.Unlock()
	b.tell(change{put: ch})
}

// remove deletes a channel.
func (b *fakeBus) remove(id events.ChannelID) {
	b.mu.Lock()
	delete(b.channels, id)
	b.mu.Unlock()
	b.tell(change{gone: id})
}

func (b *fakeBus) AcquireLease(ctx context.Context, name string, ttl time.Duration) (Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if held := b.leases[name]; held != nil && time.Now().Before(held.until) {
		return nil, jetstream.ErrLeaseHeld
	}
	l := &fakeLease{bus: b, name: name, ttl: ttl, until: time.Now().Add(ttl)}
	b.leases[name] = l
	return l, nil
}

type fakeLease struct {
	bus   *fakeBus
	name  string
	ttl   time.Duration
	until time.Time
}

func (l *fakeLease) Renew(context.Context) error {
	if l.bus.onRenew != nil {
		if err := l.bus.onRenew(); err != nil {
			return err
		}
	}
	l.bus.mu.Lock()
	defer l.bus.mu.Unlock()
	if l.bus.leases[l.name] != l || time.Now().After(l.until) {
		return jetstream.ErrLeaseLost
	}
	l.until = time.Now().Add(l.ttl)
	return nil
}

func (l *fakeLease) Release(context.Context) error {
	l.bus.mu.Lock()
	defer l.bus.mu.Unlock()
	if l.bus.leases[l.name] != l {
		return jetstream.ErrLeaseLost
	}
	delete(l.bus.leases, l.name)
	return nil
}

// stored is a copy of what is durable.
func (b *fakeBus) stored() []events.Inbound {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.events)
}

// history is a copy of the log.
func (b *fakeBus) history() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.log)
}

// leased is how many leases are held.
func (b *fakeBus) leased() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.leases)
}

// told is how often a health was told.
func (b *fakeBus) told() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.health)
}

// cursor is where polling the test channel stands.
func (b *fakeBus) cursor() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cursors[testChannel]
}

// lastHealth is the newest health told.
func (b *fakeBus) lastHealth(t *testing.T) Health {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.health) == 0 {
		t.Fatal("no health was told")
	}
	return b.health[len(b.health)-1]
}
