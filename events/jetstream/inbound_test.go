package jetstream_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
)

func TestPublishAndRead(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	mustPublish(t, b, event("ann", 1), event("ann", 2), event("bob", 1))
	mustPublish(t, b, event("ann", 3))
	for i, r := range read(t, b, 0, 4) {
		if r.Seq != uint64(i+1) || r.Err != nil || r.StoredAt.IsZero() {
			t.Errorf("record %d: seq %d, err %v, stored %v", i, r.Seq, r.Err, r.StoredAt)
		}
		if want := []events.EventID{"ann-1", "ann-2", "bob-1", "ann-3"}[i]; r.Event.ID != want {
			t.Errorf("record %d is %s, want %s", i, r.Event.ID, want)
		}
	}
	if got := read(t, b, 3, 1); got[0].Seq != 4 {
		t.Errorf("reading after 3 began at %d", got[0].Seq)
	}
}

// Many callers at once share batches, and each keeps its own order.
func TestCallersShareBatches(t *testing.T) {
	t.Parallel()
	var exchanges, messages, atomics atomic.Int64
	b := natstest.Start(t, one, func(o *jetstream.Options) {
		o.Observer.Published = func(_ string, n int, isAtomic bool, _ time.Duration, err error) {
			if err != nil {
				t.Errorf("exchange of %d: %v", n, err)
			}
			exchanges.Add(1)
			messages.Add(int64(n))
			if isAtomic {
				atomics.Add(1)
			}
		}
	})
	const callers, each = 64, 20
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				if err := b.Publish(within(t), event(fmt.Sprint("p", c), i)); err != nil {
					t.Errorf("caller %d: %v", c, err)
				}
			}
		})
	}
	wg.Wait()
	if messages.Load() != callers*each {
		t.Errorf("%d messages published, want %d", messages.Load(), callers*each)
	}
	if exchanges.Load() > messages.Load()/4 || atomics.Load() == 0 {
		t.Errorf("%d messages took %d exchanges, %d of them atomic", messages.Load(), exchanges.Load(), atomics.Load())
	}
	next := map[string]int{}
	for i, r := range read(t, b, 0, callers*each) {
		if r.Seq != uint64(i+1) {
			t.Fatalf("record %d has seq %d", i, r.Seq)
		}
		who := r.Event.Person.Identity.Value
		if want := fmt.Sprint(next[who]); r.Event.Key.Message != want {
			t.Errorf("%s: got %s, want %s", who, r.Event.Key.Message, want)
		}
		next[who]++
	}
}
