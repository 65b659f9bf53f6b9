package jetstream_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
)

// clock is one machine's monotonic clock, moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock(b *jetstream.Bus) *clock {
	c := &clock{now: time.Now()}
	b.SetClock(func() time.Time {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.now
	})
	return c
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const ttl = time.Hour // of hand-moved clocks

func acquire(t testing.TB, b *jetstream.Bus, owner string) *jetstream.Lease {
	t.Helper()
	l, err := b.AcquireLease(within(t), "channel-a", owner, ttl)
	if err != nil {
		t.Fatalf("%s: %v", owner, err)
	}
	return l
}

func refusedTo(t testing.TB, b *jetstream.Bus, owner string) {
	t.Helper()
	if l, err := b.AcquireLease(within(t), "channel-a", owner, ttl); !errors.Is(err, jetstream.ErrLeaseHeld) {
		t.Fatalf("%s got %v, %v", owner, l, err)
	}
}

// A holder that no longer renews is replaced after ttl of watching, not before,
// and finds out when it goes on.
func TestLeaseOfFrozenHolder(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	a, b := s.Dial(t, one), s.Dial(t, one)
	clockA, clockB := newClock(a), newClock(b)
	clockB.advance(1000 * time.Hour) // clocks of different machines are never compared

	held := acquire(t, a, "a")
	refusedTo(t, b, "b") // b begins to watch
	clockB.advance(ttl - 1)
	refusedTo(t, b, "b")
	clockA.advance(ttl - 1)
	if err := held.Renew(within(t)); err != nil {
		t.Fatal(err)
	}
	clockB.advance(ttl)
	refusedTo(t, b, "b") // it was renewed: b watches anew
	clockB.advance(ttl - 1)
	refusedTo(t, b, "b")

	clockA.advance(ttl) // a froze; its lease is over before b may take it
	if held.Held() {
		t.Error("a frozen holder believes in its lease")
	}
	clockB.advance(1)
	taken := acquire(t, b, "b")
	if err := held.Renew(within(t)); !errors.Is(err, jetstream.ErrLeaseLost) {
		t.Errorf("renewed: %v", err)
	}
	<-held.Lost()
	if err := held.Release(within(t)); err != nil { // must not hurt b
		t.Error(err)
	}
	refusedTo(t, a, "a")
	if err := taken.Renew(within(t)); err != nil || !taken.Held() {
		t.Errorf("b: %v", err)
	}
	if err := taken.Release(within(t)); err != nil {
		t.Fatal(err)
	}
	<-taken.Lost()
	again := acquire(t, a, "a") // at once
	if err := taken.Renew(within(t)); !errors.Is(err, jetstream.ErrLeaseLost) {
		t.Errorf("renewed after release: %v", err)
	}
	if !again.Held() {
		t.Error("a does not hold what it got")
	}
}

// A holder whose clock is far too slow is still fenced by the bucket.
func TestLeaseTakenFromUnawareHolder(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	a, b := s.Dial(t, one), s.Dial(t, one)
	newClock(a)
	clockB := newClock(b)
	held := acquire(t, a, "a")
	refusedTo(t, b, "b")
	clockB.advance(ttl)
	acquire(t, b, "b")
	if err := held.Renew(within(t)); !errors.Is(err, jetstream.ErrLeaseLost) {
		t.Errorf("renewed: %v", err)
	}
	<-held.Lost()
}

func TestLeaseHasOneWinner(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		b := s.Dial(t, one)
		for range 4 {
			wg.Go(func() {
				_, err := b.AcquireLease(within(t), "channel-a", "x", ttl)
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, jetstream.ErrLeaseHeld):
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
}

// With real clocks: kept while renewed, lost when the server stays away.
func TestLeaseKeep(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b := s.Dial(t, one)
	l, err := b.AcquireLease(within(t), "channel-a", "a", 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(within(t))
	cancel()
	if err := l.Keep(ctx); err != nil {
		t.Errorf("told to stop: %v", err)
	}
	kept := make(chan error, 1)
	go func() { kept <- l.Keep(within(t)) }()
	s.Stop(t)
	if err := <-kept; !errors.Is(err, jetstream.ErrLeaseLost) {
		t.Errorf("got %v", err)
	}
	<-l.Lost()
	if _, err := b.AcquireLease(within(t), "channel-a", "a", 0); !errors.Is(err, jetstream.ErrInvalid) {
		t.Errorf("for no time: %v", err)
	}
}
