package gateway

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
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
	onPutHealth func(events.ChannelHealth) error
	onWatch     func() error
	onAsk       func() error

	mu        sync.Mutex
	events    []events.Inbound
	log       []string // "event <ProviderEvent>" and "cursor <value>"
	cursors   map[events.ChannelID]string
	channels  map[events.ChannelID]events.Channel
	followers map[chan jetstream.ChannelChange]bool
	leases    map[string]*fakeLease
	health    []events.ChannelHealth
	// What reconciliations know, and how often one was asked for.
	reconciled map[events.ChannelID]string
	asked      map[events.ChannelID]int
	// present is until when members said that they are here.
	present map[string]time.Time
}

func newFakeBus() *fakeBus {
	return &fakeBus{
		cursors:   make(map[events.ChannelID]string),
		channels:  make(map[events.ChannelID]events.Channel),
		followers: make(map[chan jetstream.ChannelChange]bool),
		leases:    make(map[string]*fakeLease),

		reconciled: make(map[events.ChannelID]string),
		asked:      make(map[events.ChannelID]int),
		present:    make(map[string]time.Time),
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
	cursor, ok := b.cursors[ch]
	if !ok {
		return "", jetstream.ErrNotFound
	}
	return cursor, nil
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

func (b *fakeBus) Reconciled(_ context.Context, ch events.ChannelID) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	state, ok := b.reconciled[ch]
	if !ok {
		return "", jetstream.ErrNotFound
	}
	return state, nil
}

func (b *fakeBus) SetReconciled(ctx context.Context, ch events.ChannelID, state string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.onSetCursor != nil {
		if err := b.onSetCursor(state); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reconciled[ch] = state
	b.log = append(b.log, "reconciled")
	return nil
}

func (b *fakeBus) AskReconcile(_ context.Context, ch events.ChannelID) error {
	if b.onAsk != nil {
		if err := b.onAsk(); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked[ch]++
	return nil
}

func (b *fakeBus) ReconcileAsked(_ context.Context, ch events.ChannelID) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked[ch] == 0 {
		return "", nil
	}
	return strconv.Itoa(b.asked[ch]), nil
}

func (b *fakeBus) Present(_ context.Context, _, member string, ttl time.Duration) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.present[member] = time.Now().Add(ttl)
	n := 0
	for _, until := range b.present {
		if time.Now().Before(until) {
			n++
		}
	}
	return n, nil
}

func (b *fakeBus) Absent(_ context.Context, _, member string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.present, member)
	return nil
}

func (b *fakeBus) PutHealth(ctx context.Context, h events.ChannelHealth) error {
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

func (b *fakeBus) LastHealth(_ context.Context, id events.ChannelID) (events.ChannelHealth, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range slices.Backward(b.health) {
		if h.Channel == id {
			return h, nil
		}
	}
	return events.ChannelHealth{}, jetstream.ErrNotFound
}

func (b *fakeBus) WatchChannels(ctx context.Context) (<-chan jetstream.ChannelChange, error) {
	if b.onWatch != nil {
		if err := b.onWatch(); err != nil {
			return nil, err
		}
	}
	updates, out := make(chan jetstream.ChannelChange), make(chan jetstream.ChannelChange)
	b.mu.Lock()
	var known []jetstream.ChannelChange
	for _, ch := range b.channels {
		known = append(known, jetstream.ChannelChange{Channel: ch})
	}
	b.followers[updates] = true
	b.mu.Unlock()
	go func() {
		defer close(out)
		defer func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			delete(b.followers, updates)
		}()
		for _, c := range append(known, jetstream.ChannelChange{Ready: true}) {
			select {
			case out <- c:
			case <-ctx.Done():
				return
			}
		}
		for {
			select {
			case c, ok := <-updates:
				if !ok {
					return
				}
				out <- c
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// tell lets every follower take in a change before it returns.
func (b *fakeBus) tell(c jetstream.ChannelChange) {
	for _, u := range b.following() {
		u <- c
		// Once these are taken, what came before was taken in.
		u <- jetstream.ChannelChange{Ready: true}
		u <- jetstream.ChannelChange{Ready: true}
	}
}

// hangUp ends what followers follow.
func (b *fakeBus) hangUp() {
	for _, u := range b.following() {
		close(u)
	}
}

func (b *fakeBus) following() []chan jetstream.ChannelChange {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.followers))
}

// put creates or changes a channel.
func (b *fakeBus) put(ch events.Channel) {
	b.mu.Lock()
	b.channels[ch.ID] = ch
	b.mu.Unlock()
	b.tell(jetstream.ChannelChange{Channel: ch})
}

// remove deletes a channel.
func (b *fakeBus) remove(id events.ChannelID) {
	b.mu.Lock()
	delete(b.channels, id)
	b.mu.Unlock()
	b.tell(jetstream.ChannelChange{Deleted: true, Channel: events.Channel{ID: id}})
}

func (b *fakeBus) AcquireLease(ctx context.Context, name, _ string, ttl time.Duration) (Lease, error) {
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

// states are the states that were told, repetitions left out.
func (b *fakeBus) states() []events.HealthState {
	b.mu.Lock()
	defer b.mu.Unlock()
	var states []events.HealthState
	for _, h := range b.health {
		states = append(states, h.State)
	}
	return slices.Compact(states)
}

// cursor is where polling the test channel stands.
func (b *fakeBus) cursor() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cursors[testChannel]
}

// lastHealth is the newest health told.
func (b *fakeBus) lastHealth(t *testing.T) events.ChannelHealth {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.health) == 0 {
		t.Fatal("no health was told")
	}
	return b.health[len(b.health)-1]
}
