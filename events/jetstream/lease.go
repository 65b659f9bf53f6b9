package jetstream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// leaseEntry is a lease in its bucket. It carries no time: clocks of different
// machines are never compared.
type leaseEntry struct {
	// Owner is for people.
	Owner string `json:"owner"`
	// Grant names one acquisition; empty once released.
	Grant string `json:"grant,omitempty"`
	// TTL is how long the holder may go without renewing.
	TTL time.Duration `json:"ttl_ns"`
}

// observations is what this bus saw of other holders' leases.
type observations struct {
	mu   sync.Mutex
	seen map[string]observation
}

type observation struct {
	revision uint64
	since    time.Time // when it was first seen, monotonic
}

// ripe notes that name stands at revision and reports whether it has stood
// there for ttl.
func (o *observations) ripe(name string, revision uint64, ttl time.Duration, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen, ok := o.seen[name]
	if !ok || seen.revision != revision {
		o.seen[name] = observation{revision, now}
		return false
	}
	return now.Sub(seen.since) >= ttl
}

func (o *observations) forget(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.seen, name)
}

// Lease is the right to be the only one doing something, for ttl after the last
// renewal began. Its holder checks [Lease.Held], or stops when [Lease.Lost]
// closes; a process that was frozen finds it closed when it goes on.
//
// Safety rests on intervals, never on clock readings: the holder counts ttl from
// before it wrote, everybody else from after they saw what it wrote. Clocks may
// differ by any amount; they must only run at about the same speed.
type Lease struct {
	bus   *Bus
	name  string
	entry leaseEntry

	writing  sync.Mutex // held while the bucket is asked; the lease may end meanwhile
	revision uint64     // guarded by writing

	mu    sync.Mutex
	until time.Time // monotonic
	timer *time.Timer
	lost  chan struct{}
	over  bool
}

// AcquireLease takes the lease called name, or returns [ErrLeaseHeld] at once.
// Call it again every second or so to take over: a holder that stopped renewing
// is replaced once this bus has watched it not renew for its ttl. A released
// lease is free at once. Owner says, to people, who holds it.
func (b *Bus) AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (*Lease, error) {
	if ttl <= 0 {
		return nil, fmt.Errorf("%w: lease %s for %v", ErrInvalid, name, ttl)
	}
	data, revision, err := b.kvGet(ctx, leasesBucket, name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	if revision != 0 {
		var have leaseEntry
		if err := kvDecode(leasesBucket, name, data, &have); err != nil {
			return nil, err
		}
		if have.Grant != "" && !b.leases.ripe(name, revision, have.TTL, b.now()) {
			return nil, fmt.Errorf("%w: %s by %s", ErrLeaseHeld, name, have.Owner)
		}
	}
	l := &Lease{
		bus: b, name: name, revision: revision, lost: make(chan struct{}),
		entry: leaseEntry{Owner: owner, Grant: rand.Text(), TTL: ttl},
	}
	began := b.now()
	if err := l.write(ctx, l.entry); err != nil {
		if errors.Is(err, errRace) {
			return nil, fmt.Errorf("%w: %s, somebody was quicker", ErrLeaseHeld, name)
		}
		return nil, err
	}
	b.leases.forget(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = began.Add(ttl)
	l.timer = time.AfterFunc(l.until.Sub(b.now()), l.expire)
	return l, nil
}

// write swaps the entry in. l.writing must be held, or l not shared yet.
func (l *Lease) write(ctx context.Context, e leaseEntry) error {
	value, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("%w: lease %s: %w", ErrInvalid, l.name, err)
	}
	revision, err := l.bus.kvSwap(ctx, leasesBucket, l.name, value, l.revision)
	if err == nil {
		l.revision = revision
	}
	return err
}

// Renew extends the lease to ttl from now. After [ErrLeaseLost] somebody else
// may hold it; after any other error it still runs, as long as Held says.
func (l *Lease) Renew(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	began := l.bus.now()
	if !l.Held() {
		l.end()
		return fmt.Errorf("%w: %s", ErrLeaseLost, l.name)
	}
	err := l.write(ctx, l.entry)
	if errors.Is(err, errRace) && l.adopt(ctx) {
		// An earlier renewal had arrived although its answer had not.
		err = l.write(ctx, l.entry)
	}
	switch {
	case errors.Is(err, errRace):
		l.end()
		return fmt.Errorf("%w: %s was taken over", ErrLeaseLost, l.name)
	case err != nil:
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over { // it ran out while the answer was on its way; Lost was seen
		return fmt.Errorf("%w: %s was renewed too late", ErrLeaseLost, l.name)
	}
	l.until = began.Add(l.entry.TTL)
	l.timer.Reset(l.until.Sub(l.bus.now()))
	return nil
}

// adopt takes over the stored revision if the entry is still this grant.
func (l *Lease) adopt(ctx context.Context) bool {
	data, revision, err := l.bus.kvGet(ctx, leasesBucket, l.name)
	var have leaseEntry
	if err != nil || json.Unmarshal(data, &have) != nil || have.Grant != l.entry.Grant {
		return false
	}
	l.revision = revision
	return true
}

// Keep renews three times per ttl until ctx ends, which returns nil, or the
// lease is lost, which returns [ErrLeaseLost]. It does not release.
func (l *Lease) Keep(ctx context.Context) error {
	tick := time.NewTicker(max(l.entry.TTL/3, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.lost:
			return fmt.Errorf("%w: %s", ErrLeaseLost, l.name)
		case <-tick.C:
		}
		l.mu.Lock()
		left := l.until.Sub(l.bus.now())
		l.mu.Unlock()
		try, cancel := context.WithTimeout(ctx, max(left, time.Millisecond))
		err := l.Renew(try)
		cancel()
		switch {
		case errors.Is(err, ErrLeaseLost):
			return err
		case err != nil && ctx.Err() == nil:
			l.bus.log.Warn("renewing a lease failed", "lease", l.name, "error", err)
		}
	}
}

// Held reports whether the lease still stands. What is begun now may outlast it.
func (l *Lease) Held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.over && l.bus.now().Before(l.until)
}

// Lost is closed when the lease is over for whatever reason, release included.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Release gives the lease back, so that the next one need not wait.
func (l *Lease) Release(ctx context.Context) error {
	l.end()
	l.writing.Lock()
	defer l.writing.Unlock()
	// A race means that somebody has it already, or that it runs out by itself.
	if err := l.write(ctx, leaseEntry{Owner: l.entry.Owner, TTL: l.entry.TTL}); err != nil && !errors.Is(err, errRace) {
		return err
	}
	return nil
}

// expire runs when the timer fires; a renewal may have been quicker.
func (l *Lease) expire() {
	l.mu.Lock()
	left := l.until.Sub(l.bus.now())
	if left > 0 && !l.over {
		l.timer.Reset(left)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	l.end()
}

// end closes Lost once.
func (l *Lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.over = true
		l.timer.Stop()
		close(l.lost)
	}
}
