package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"parley/events"
	"parley/events/jetstream"
	"parley/transports"
)

// provider hands out the events 1, 2, 3… in twos, and forgets nothing.
type provider struct {
	last   atomic.Int64
	active atomic.Int32
	most   atomic.Int32

	mu     sync.Mutex
	starts []string // the cursors that polls began from
}

func newProvider(last int64) *provider {
	p := &provider{}
	p.last.Store(last)
	return p
}

// began are the cursors that polls began from.
func (p *provider) began() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.starts)
}

func (p *provider) poll(ctx context.Context, cursor string, emit transports.Emit) error {
	p.most.Store(max(p.most.Load(), p.active.Add(1)))
	defer p.active.Add(-1)
	p.mu.Lock()
	p.starts = append(p.starts, cursor)
	p.mu.Unlock()
	n, _ := strconv.Atoi(cursor)
	for int64(n) < p.last.Load() {
		if err := emit(ctx, inbound(strconv.Itoa(n+1), strconv.Itoa(n+2)), strconv.Itoa(n+2)); err != nil {
			return fmt.Errorf("emit: %w", err)
		}
		n += 2
	}
	<-ctx.Done()
	return ctx.Err()
}

// poll makes the rig's adapters poll so.
func (r *rig) poll(poll func(context.Context, string, transports.Emit) error) {
	r.adapter = func(a *fakeAdapter) error {
		a.poll = poll
		return nil
	}
}

// pollingRig polls with poll.
func pollingRig(t *testing.T, bus *fakeBus, poll func(context.Context, string, transports.Emit) error) *rig {
	t.Helper()
	r := newRig(t, bus, nil)
	r.poll(poll)
	return r
}

func TestPollMovesTheCursorBehindItsEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(pollingChannel())
		p := newProvider(4)
		r := pollingRig(t, bus, p.poll)
		stop := r.run(t)
		synctest.Wait()
		if got, want := bus.history(), []string{"event 1", "event 2", "cursor 2", "event 3", "event 4", "cursor 4"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if h := bus.lastHealth(t); h.State != events.Connected {
			t.Errorf("health %+v", h)
		}
		if n := testutil.ToFloat64(r.Gateway.metrics.lease); n != 1 {
			t.Errorf("the lease gauge says %v", n)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if bus.leased() != 0 {
			t.Error("the lease was not released")
		}
		p.last.Store(6)
		pollingRig(t, bus, p.poll).run(t)
		synctest.Wait()
		if want := []string{"", "4"}; !slices.Equal(p.began(), want) {
			t.Errorf("polls began from %q, want %q", p.began(), want)
		}
		r.logs.wantNoSecrets(t)
	})
}

// Whatever fails between fetching and storing, nothing is stepped over.
func TestPollLosesNothing(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*fakeBus){
		"bus full": func(b *fakeBus) {
			n := 0
			b.onPublish = func(context.Context, []events.Inbound) error {
				if n++; n < 4 {
					return jetstream.ErrBackPressure
				}
				return nil
			}
		},
		"crash behind the events": func(b *fakeBus) {
			n := 0
			b.onSetCursor = func(string) error {
				if n++; n == 2 {
					return jetstream.ErrUnavailable
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus := newFakeBus()
				fail(bus)
				bus.put(pollingChannel())
				p := newProvider(6)
				r := pollingRig(t, bus, p.poll)
				r.run(t)
				synctest.Wait()
				if h := bus.lastHealth(t); h.State != events.Degraded || !strings.Contains(h.Error, "wait at the provider") {
					t.Errorf("health %+v", h)
				}
				advance(time.Hour)
				seen, cursor := map[string]bool{}, 0
				for _, line := range bus.history() {
					what, id, _ := strings.Cut(line, " ")
					if what == "event" {
						seen[id] = true
						continue
					}
					for cursor, _ = strconv.Atoi(id); cursor > 0 && seen[strconv.Itoa(cursor)]; cursor-- {
					}
					if cursor > 0 {
						t.Fatalf("cursor %s before event %d: %q", id, cursor, bus.history())
					}
				}
				if len(seen) != 6 || bus.cursor() != "6" {
					t.Errorf("stored %v up to %q", seen, bus.cursor())
				}
				if h := bus.lastHealth(t); h.State != events.Connected {
					t.Errorf("health %+v", h)
				}
				if n := testutil.ToFloat64(r.Gateway.metrics.pollErrors.WithLabelValues("fake", "bus")); n < 1 {
					t.Errorf("counted %v errors", n)
				}
			})
		})
	}
}

// An adapter that goes on after an error must not step over what failed.
func TestEmitStaysFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(pollingChannel())
		n := 0
		bus.onPublish = func(context.Context, []events.Inbound) error {
			if n++; n == 1 {
				return jetstream.ErrBackPressure
			}
			return nil
		}
		r := pollingRig(t, bus, func(ctx context.Context, _ string, emit transports.Emit) error {
			_ = emit(ctx, inbound("1"), "1")
			if err := emit(ctx, inbound("2"), "2"); err == nil {
				t.Error("the second emit stepped over the first")
			}
			<-ctx.Done()
			return ctx.Err()
		})
		r.run(t)
		synctest.Wait()
		if got := bus.history(); len(got) != 0 {
			t.Errorf("stored %q", got)
		}
	})
}

func TestPollBacksOffForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(pollingChannel())
		var last time.Time
		var longest time.Duration
		polls := 0
		var mended atomic.Bool
		r := newRig(t, bus, nil)
		r.poll(func(ctx context.Context, _ string, _ transports.Emit) error {
			r.do(func() {
				if polls++; polls > 1 {
					longest = max(longest, time.Since(last))
				}
				last = time.Now()
			})
			if !mended.Load() {
				return errors.New("connection to bot" + testSecret + " refused")
			}
			<-ctx.Done()
			return ctx.Err()
		})
		r.run(t)
		advance(48 * time.Hour)
		r.do(func() {
			if polls < 1000 || polls > 5000 || longest > 2*time.Minute {
				t.Errorf("%d polls in two days, at most %s apart", polls, longest)
			}
		})
		h := bus.lastHealth(t)
		if h.State != events.Degraded || h.Error != "asking for news failed: connection to bot[redacted] refused" {
			t.Errorf("health %+v", h)
		}
		if n := bus.told(); n > 2+48*60/5 {
			t.Errorf("health was told %d times, more often than every five minutes", n)
		}
		mended.Store(true)
		advance(3 * time.Minute)
		if h := bus.lastHealth(t); h.State != events.Connected {
			t.Errorf("a quiet poll did not count as well: %+v", h)
		}
		r.logs.wantNoSecrets(t)
	})
}

func TestPollHonoursRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(pollingChannel())
		var at []time.Time
		r := newRig(t, bus, nil)
		r.poll(func(context.Context, string, transports.Emit) error {
			r.do(func() { at = append(at, time.Now()) })
			return fmt.Errorf("poll: %w", &transports.RetryAfterError{After: 10 * time.Minute, Err: errors.New("429")})
		})
		r.run(t)
		advance(12 * time.Minute)
		r.do(func() {
			if len(at) != 2 || at[1].Sub(at[0]) < 10*time.Minute {
				t.Errorf("polled at %v", at)
			}
		})
		if n := testutil.ToFloat64(r.Gateway.metrics.pollErrors.WithLabelValues("fake", "throttled")); n != 2 {
			t.Errorf("counted %v", n)
		}
	})
}

func TestPollStopsOnRefusedCredentialsUntilTheChannelChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		ch := pollingChannel()
		bus.put(ch)
		var polls, connects atomic.Int32
		var accepts atomic.Bool
		r := newRig(t, bus, nil)
		r.adapter = func(a *fakeAdapter) error {
			a.connect = func(context.Context, string) error {
				connects.Add(1)
				return nil
			}
			a.poll = func(ctx context.Context, _ string, _ transports.Emit) error {
				if polls.Add(1); !accepts.Load() {
					return fmt.Errorf("401: %w", transports.ErrCredentials)
				}
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		r.run(t)
		// Another replica must not try what was refused here.
		other := newRig(t, bus, nil)
		other.adapter = r.adapter
		other.run(t)
		advance(24 * time.Hour)
		if polls.Load() != 1 || connects.Load() != 1 {
			t.Errorf("asked %d times after the first refusal, connected %d times", polls.Load()-1, connects.Load())
		}
		if h := bus.lastHealth(t); h.State != events.NeedsAttention {
			t.Errorf("health %+v", h)
		}
		accepts.Store(true)
		ch.Version++
		bus.put(ch)
		advance(time.Minute)
		if polls.Load() != 2 {
			t.Errorf("%d polls after the change", polls.Load()-1)
		}
		if h := bus.lastHealth(t); h.State != events.Connected {
			t.Errorf("health %+v", h)
		}
	})
}

func TestPollSurvivesPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(pollingChannel())
		n := 0
		p := newProvider(2)
		r := pollingRig(t, bus, func(ctx context.Context, cursor string, emit transports.Emit) error {
			if n++; n == 1 {
				_ = inbound("1")[n] // out of range
			}
			return p.poll(ctx, cursor, emit)
		})
		r.run(t)
		advance(time.Minute)
		if bus.cursor() != "2" {
			t.Errorf("stored %q", bus.history())
		}
	})
}

// Changing how news arrive stops the one way before it starts the other.
func TestSwitchingModes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		ch := pollingChannel()
		bus.put(ch)
		var steps []string
		step := func(s string) { steps = append(steps, s) } // one at a time, or the test fails
		r := newRig(t, bus, nil)
		r.adapter = func(a *fakeAdapter) error {
			a.connect = func(_ context.Context, url string) error {
				step("connect " + url)
				return nil
			}
			a.poll = func(ctx context.Context, _ string, _ transports.Emit) error {
				step("poll")
				<-ctx.Done()
				<-time.After(time.Second) // the provider is slow to let go
				step("end of poll")
				return ctx.Err()
			}
			return nil
		}
		stop := r.run(t)
		change := func(mode events.ChannelMode) {
			advance(10 * time.Second)
			ch.Version++
			ch.Mode = mode
			bus.put(ch)
			advance(10 * time.Second)
		}
		change(events.Webhook)
		change(events.Polling)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"connect ", "poll", "end of poll",
			"connect https://inbox.example.com/webhook/" + testPath,
			"connect ", "poll", "end of poll",
		}
		if !slices.Equal(steps, want) {
			t.Errorf("%q, want %q", steps, want)
		}
	})
}
