package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
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

func TestRefusedBatchHarmsOnlyTheGuilty(t *testing.T) {
	t.Parallel()
	var atomics atomic.Int64
	s := natstest.Serve(t)
	b := s.Embedded(t, one, func(o *jetstream.Options) {
		o.Observer.Published = func(_ string, _ int, isAtomic bool, _ time.Duration, err error) {
			if isAtomic && err != nil {
				atomics.Add(1)
			}
		}
	})
	// An operator's limit that the client does not know of: only the server
	// finds out, in the middle of a batch.
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
	large := event("large", 0)
	large.Content.Text = strings.Repeat("x", 5000)
	var calls [][]events.Inbound
	for i := range 20 {
		calls = append(calls, []events.Inbound{event(fmt.Sprint("before", i), 0)})
	}
	calls = append(calls,
		[]events.Inbound{event("pair", 0), event("pair", 1)},
		[]events.Inbound{large},
		[]events.Inbound{event("mixed", 0), large, event("mixed", 2)},
		[]events.Inbound{event("trio", 0), event("trio", 1), event("trio", 2)},
	)
	for i := range 20 {
		calls = append(calls, []events.Inbound{event(fmt.Sprint("after", i), 0)})
	}
	errs := together(t, b, calls...)
	stored := 0
	for i, err := range errs {
		guilty := i == 21 || i == 22
		if guilty != errors.Is(err, jetstream.ErrTooLarge) || !guilty && err != nil {
			t.Errorf("caller %d: %v", i, err)
		}
		if !guilty {
			stored += len(calls[i])
		}
	}
	if atomics.Load() == 0 {
		t.Error("no batch was refused: the test tests nothing")
	}
	for _, r := range read(t, b, 0, stored) {
		if who := r.Event.Person.Identity.Value; who == "large" || who == "mixed" {
			t.Errorf("a part of a refused call was stored: %s", who)
		}
	}
	if st := state(t, b); st.Messages != uint64(stored) {
		t.Errorf("%d messages stored, want %d", st.Messages, stored)
	}
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
		for _, err := range together(t, b, calls...) {
			switch {
			case err == nil:
				accepted++
			case errors.Is(err, jetstream.ErrBackPressure):
				full = err
			default:
				t.Fatalf("after %d: %v", accepted, err)
			}
		}
	}
	if st := state(t, b); st.Messages != uint64(accepted) || st.FirstSeq != 1 {
		t.Fatalf("%d messages from %d on, %d were accepted", st.Messages, st.FirstSeq, accepted)
	}
	if n, err := b.Purge(within(t), 0, uint64(accepted/2), 0); err != nil || n == 0 {
		t.Fatalf("purged %d, %v", n, err)
	}
	mustPublish(t, b, event("p", accepted))
}

// A caller's events that need several batches stop at the first that fails.
func TestCallerStopsAtFailure(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one, func(o *jetstream.Options) { o.MaxBytes = 400 << 10 })
	var evs []events.Inbound
	for i := range 1200 {
		evs = append(evs, event("ann", i))
	}
	if err := b.Publish(within(t), evs...); !errors.Is(err, jetstream.ErrBackPressure) {
		t.Fatalf("got %v", err)
	}
	st := state(t, b)
	if st.Messages != 500 {
		t.Errorf("%d stored, want one whole batch", st.Messages)
	}
	for i, r := range read(t, b, 0, int(st.Messages)) {
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
