package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/transports"
)

func TestOnePollerAcrossReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(pollingChannel())
		p := newProvider(2)
		first := pollingRig(t, bus, p.poll)
		stop := first.run(t)
		synctest.Wait()
		pollingRig(t, bus, p.poll).run(t)
		pollingRig(t, bus, p.poll).run(t)
		advance(time.Hour)
		if got := p.began(); len(got) != 1 {
			t.Errorf("polls began from %q while the first replica lived", got)
		}
		p.last.Store(4)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		advance(15 * time.Second)
		if got, want := p.began(), []string{"", "2"}; !slices.Equal(got, want) {
			t.Errorf("polls began from %q, want %q", got, want)
		}
		if bus.cursor() != "4" {
			t.Errorf("stored %q", bus.history())
		}
		if p.most.Load() != 1 {
			t.Errorf("%d polls at a time", p.most.Load())
		}
	})
}

// A replica that cannot renew stops before the lease runs out elsewhere.
func TestPollerStopsWithItsLease(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{
		"lost":        jetstream.ErrLeaseLost,
		"unreachable": jetstream.ErrUnavailable,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus := newFakeBus()
				bus.put(pollingChannel())
				var cut atomic.Bool
				cutOff := &cutBus{fakeBus: bus, cut: &cut, failure: failure}
				p := newProvider(2)
				first := newRig(t, bus, func(o *Options) { o.Bus = cutOff })
				first.poll(p.poll)
				first.run(t)
				synctest.Wait()
				second := pollingRig(t, bus, p.poll)
				second.run(t)
				advance(time.Minute)

				cut.Store(true)
				advance(time.Minute)
				if got, want := p.began(), []string{"", "2"}; !slices.Equal(got, want) {
					t.Errorf("polls began from %q, want %q", got, want)
				}
				if p.most.Load() != 1 {
					t.Errorf("%d polls at a time", p.most.Load())
				}
				if s := first.logs.String(); !strings.Contains(s, "channel left to another replica") {
					t.Errorf("nothing said so: %s", s)
				}
			})
		})
	}
}

// cutBus is one replica's connection to the bus, which can be cut.
type cutBus struct {
	*fakeBus
	cut     *atomic.Bool
	failure error
}

func (b *cutBus) AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (Lease, error) {
	if b.cut.Load() {
		return nil, jetstream.ErrUnavailable
	}
	l, err := b.fakeBus.AcquireLease(ctx, name, owner, ttl)
	return &cutLease{Lease: l, bus: b}, err
}

type cutLease struct {
	Lease
	bus *cutBus
}

func (l *cutLease) Renew(ctx context.Context) error {
	if l.bus.cut.Load() {
		return l.bus.failure
	}
	return l.Lease.Renew(ctx)
}

func (l *cutLease) Release(ctx context.Context) error {
	if l.bus.cut.Load() {
		return l.bus.failure
	}
	return l.Lease.Release(ctx)
}

// A poller that lost its lease in the middle of an emit leaves the cursor to
// the next, which may be further.
func TestEmitLeavesTheCursorAloneWithoutALease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(pollingChannel())
		var cut atomic.Bool
		bus.onPublish = func(ctx context.Context, _ []events.Inbound) error {
			cut.Store(true)
			<-time.After(20 * time.Second) // a bus that answers too late, and stored it all the same
			return nil
		}
		p := newProvider(2)
		r := newRig(t, bus, func(o *Options) {
			o.Bus = &cutBus{fakeBus: bus, cut: &cut, failure: jetstream.ErrLeaseLost}
		})
		r.poll(p.poll)
		r.run(t)
		advance(time.Minute)
		if got, want := bus.history(), []string{"event 1", "event 2"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestDrainFinishesWhatWasBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(pollingChannel())
		bus.onPublish = func(ctx context.Context, _ []events.Inbound) error {
			select {
			case <-time.After(5 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		p := newProvider(2)
		r := pollingRig(t, bus, p.poll)
		stop := r.run(t)
		synctest.Wait()
		answered := make(chan *httptest.ResponseRecorder, 1)
		go func() { answered <- r.answer(delivery("9")) }()
		advance(time.Second)

		began := time.Now()
		done := make(chan error, 1)
		go func() { done <- stop() }()
		advance(time.Second)
		wantCode(t, r.answer(delivery("10")), http.StatusServiceUnavailable)
		select {
		case err := <-done:
			t.Fatalf("Run returned %v before the work in flight was done", err)
		default:
		}
		wantCode(t, <-answered, http.StatusOK)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("draining took %s", took)
		}
		if got := bus.history(); !slices.Contains(got, "event 9") || bus.cursor() != "2" {
			t.Errorf("stored %q", got)
		}
		if n := bus.leased(); n != 0 {
			t.Errorf("%d leases are still held", n)
		}
		if err := r.Run(t.Context()); err == nil {
			t.Error("it ran twice")
		}
	})
}

func TestDrainGivesUpAndSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(pollingChannel())
		release := make(chan struct{})
		r := pollingRig(t, bus, func(context.Context, string, transports.Emit) error {
			<-release // an adapter that heeds no context
			return errors.New("late")
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "channels: still busy after 20s") {
			t.Errorf("Run: %v", err)
		}
		close(release)
		synctest.Wait()
	})
}
