package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
)

// together has every call wait in the queue, then lets them go out at once, and
// returns their errors.
func together(t *testing.T, b *jetstream.Bus, calls ...[]events.Inbound) []error {
	t.Helper()
	release := b.HoldWrites()
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, evs := range calls {
		wg.Go(func() { errs[i] = b.Publish(within(t), evs...) })
		b.AwaitQueued(t, 0, i+1)
	}
	release()
	wg.Wait()
	return errs
}

// What waits together goes together, in the order it came.
func TestWaitingCallersShareOneFrame(t *testing.T) {
	t.Parallel()
	var sizes []int
	b := natstest.Start(t, one, func(o *jetstream.Options) {
		o.Observer.Published = func(_ string, n int, _ bool, _ time.Duration, _ error) { sizes = append(sizes, n) }
	})
	errs := together(t, b,
		[]events.Inbound{event("ann", 0)},
		[]events.Inbound{event("bob", 0), event("bob", 1), event("bob", 2)},
		[]events.Inbound{event("cid", 0)})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range read(t, b, 0, 5) {
		got = append(got, place(r)+" "+string(r.Event.ID))
	}
	if all := strings.Join(got, ", "); all != "1/0 ann-0, 1/1 bob-0, 1/2 bob-1, 1/3 bob-2, 1/4 cid-0" {
		t.Errorf("stored %s", all)
	}
	b.Close()
	if fmt.Sprint(sizes) != "[5]" {
		t.Errorf("frames of %v", sizes)
	}
}

// A too large event fails its own caller, none of whose events is stored.
func TestTooLargeHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	large := event("large", 0)
	large.Content.Text = strings.Repeat("x", 5<<20)
	release := b.HoldWrites()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := b.Publish(within(t), event(fmt.Sprint("p", i), 0)); err != nil {
				t.Errorf("neighbour %d: %v", i, err)
			}
		})
	}
	if err := b.Publish(within(t), event("large", 1), large); !errors.Is(err, jetstream.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	b.AwaitQueued(t, 0, 20)
	release()
	wg.Wait()
	if n := count(t, b); n != 20 {
		t.Errorf("%d events stored", n)
	}
}

// An operator's limit that comes while the bus runs refuses frames of events
// that are within it: nobody is told that an event is too large, and starting
// lifts the limit.
func TestRefusedFrame(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b := s.Embedded(t, one)
	js := client(t, s)
	stream, err := js.Stream(within(t), "PARLEY_IN_00")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgSize = 4000
	if _, err := js.UpdateStream(within(t), cfg); err != nil {
		t.Fatal(err)
	}
	var calls [][]events.Inbound
	for i := range 20 {
		calls = append(calls, []events.Inbound{event("ann", i)})
	}
	for i, err := range together(t, b, calls...) {
		if !errors.Is(err, jetstream.ErrUnavailable) || errors.Is(err, jetstream.ErrTooLarge) {
			t.Errorf("caller %d: %v", i, err)
		}
	}
	if n := count(t, b); n != 0 {
		t.Errorf("%d events of refused frames are stored", n)
	}
	mustPublish(t, b, event("ann", 0))
	large := event("large", 0)
	large.Content.Text = strings.Repeat("x", 5000)
	if err := b.Publish(within(t), large); !errors.Is(err, jetstream.ErrTooLarge) {
		t.Errorf("alone: %v", err)
	}
	b.Close()
	b = s.Embedded(t, one)
	mustPublish(t, b, large)
}

func TestTooLargeNeverQueues(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	large := event("large", 0)
	large.Content.Text = strings.Repeat("x", 5<<20)
	if err := b.Publish(within(t), event("ann", 0), large); !errors.Is(err, jetstream.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	bad := event("bad", 0)
	bad.Raw = []byte("{")
	if err := b.Publish(within(t), event("ann", 0), bad); !errors.Is(err, jetstream.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if st := state(t, b); st.Messages != 0 {
		t.Errorf("%d messages stored", st.Messages)
	}
}

// A full stream refuses; what it accepted stays, and room makes it accept again.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one, func(o *jetstream.Options) {
		o.MaxBytes = 100 << 10
		o.Retention = time.Nanosecond
	})
	accepted := 0
	var full error
	for full == nil {
		var calls [][]events.Inbound
		for i := range 40 {
			calls = append(calls, []events.Inbound{event("p", accepted+i)})
		}
		for i, err := range together(t, b, calls...) {
			switch {
			case err == nil && full == nil:
				accepted++
			case errors.Is(err, jetstream.ErrBackPressure) && (i == 0 || full != nil):
				full = err // for all of the frame
			default:
				t.Fatalf("after %d: %v", accepted, err)
			}
		}
	}
	st := state(t, b)
	if n := count(t, b); n != accepted || st.FirstSeq != 1 {
		t.Fatalf("%d events from %d on, %d were accepted", n, st.FirstSeq, accepted)
	}
	if n, err := b.Purge(within(t), 0, st.LastSeq, 0); err != nil || n == 0 {
		t.Fatalf("purged %d, %v", n, err)
	}
	mustPublish(t, b, event("p", accepted))
}

// A caller's events that need several frames stop at the first that fails.
func TestCallerStopsAtFailure(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one, func(o *jetstream.Options) { o.MaxBytes = 300 << 10 })
	var evs []events.Inbound
	for i := range 1200 {
		evs = append(evs, event("ann", i))
	}
	if err := b.Publish(within(t), evs...); !errors.Is(err, jetstream.ErrBackPressure) {
		t.Fatalf("got %v", err)
	}
	if n := count(t, b); n != 500 {
		t.Errorf("%d stored, want one whole frame", n)
	}
	for i, r := range read(t, b, 0, 500) {
		if r.Event.Key.Message != fmt.Sprint(i) {
			t.Fatalf("record %d is message %s", i, r.Event.Key.Message)
		}
	}
}

func TestCallerTakesBackWhatWasNotSent(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	release := b.HoldWrites()
	ctx, cancel := context.WithCancel(within(t))
	done := make(chan error, 1)
	go func() { done <- b.Publish(ctx, event("gone", 0)) }()
	b.AwaitQueued(t, 0, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	b.AwaitQueued(t, 0, 0)
	release()
	mustPublish(t, b, event("ann", 0))
	if got := read(t, b, 0, 1); got[0].Event.ID != "ann-0" {
		t.Errorf("stored %s", got[0].Event.ID)
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	connected := make(chan struct{}, 10)
	gone := make(chan struct{}, 10)
	b := s.Dial(t, one, func(o *jetstream.Options) {
		o.Observer.Connected = func() { connected <- struct{}{} }
		o.Observer.Disconnected = func(error) { gone <- struct{}{} }
	})
	<-connected
	mustPublish(t, b, event("ann", 0))
	s.Stop(t)
	<-gone
	if err := b.Publish(within(t), event("ann", 1)); !errors.Is(err, jetstream.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	s.Start(t)
	<-connected
	mustPublish(t, b, event("ann", 2))
	got := read(t, b, 0, 2)
	if got[0].Event.ID != "ann-0" || got[1].Event.ID != "ann-2" {
		t.Errorf("stored %s and %s", got[0].Event.ID, got[1].Event.ID)
	}
}

func TestClosedBusRefuses(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	b.Close()
	if err := b.Publish(within(t), event("ann", 0)); !errors.Is(err, jetstream.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// state of partition 0.
func state(t testing.TB, b *jetstream.Bus) jetstream.StreamState {
	t.Helper()
	all, err := b.Streams(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}
