package jetstream_test

import (
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

func TestPublishAndRead(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	mustPublish(t, b, event("ann", 1), event("ann", 2), event("bob", 1))
	mustPublish(t, b, event("ann", 3))
	for i, r := range read(t, b, 0, 4) {
		if at := []string{"1/0", "1/1", "1/2", "2/0"}[i]; place(r) != at || r.Err != nil || r.StoredAt.IsZero() {
			t.Errorf("record %d at %s, want %s: err %v, stored %v", i, place(r), at, r.Err, r.StoredAt)
		}
		if want := []events.EventID{"ann-1", "ann-2", "bob-1", "ann-3"}[i]; r.Event.ID != want {
			t.Errorf("record %d is %s, want %s", i, r.Event.ID, want)
		}
	}
	if got := read(t, b, 1, 1); place(got[0]) != "2/0" {
		t.Errorf("reading after 1 began at %s", place(got[0]))
	}
}

// Many callers at once share frames, and each keeps its own order.
func TestCallersShareFrames(t *testing.T) {
	t.Parallel()
	var frames, messages atomic.Int64
	b := natstest.Start(t, one, func(o *jetstream.Options) {
		o.Observer.Published = func(_ string, n int, isAtomic bool, _ time.Duration, err error) {
			if err != nil || isAtomic {
				t.Errorf("exchange of %d, batch %v: %v", n, isAtomic, err)
			}
			frames.Add(1)
			messages.Add(int64(n))
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
	if messages.Load() != callers*each || frames.Load() > callers*each/4 {
		t.Errorf("%d of %d events took %d frames", messages.Load(), callers*each, frames.Load())
	}
	if st := state(t, b); st.Messages != uint64(frames.Load()) {
		t.Errorf("%d messages are stored, %d frames were sent", st.Messages, frames.Load())
	}
	next, o := map[string]int{}, order{}
	for _, r := range read(t, b, 0, callers*each) {
		o.check(t, r)
		who := r.Event.Person.Identity.Value
		if want := fmt.Sprint(next[who]); r.Event.Key.Message != want {
			t.Errorf("%s: got %s, want %s", who, r.Event.Key.Message, want)
		}
		next[who]++
	}
}

// A frame has at most 500 events and 512 kB, except for an event that is larger
// by itself, and never splits what fits into one.
func TestFrameLimits(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	var calls [][]events.Inbound
	call := func(who string, n, size int) {
		var evs []events.Inbound
		for i := range n {
			ev := event(who, i)
			ev.Content.Text = strings.Repeat("x", size)
			evs = append(evs, ev)
		}
		calls = append(calls, evs)
	}
	call("a", 300, 10)
	call("b", 300, 10) // beyond 500 with a's
	call("c", 100, 10)
	call("d", 1, 3<<20)
	call("e", 1, 400<<10)
	call("f", 1, 200<<10) // beyond 512 kB with e's
	call("g", 3, 200<<10) // two, and one once those are stored
	call("h", 1, 10)      // before that
	for i, err := range together(t, b, calls...) {
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	frames := map[uint64]map[string]int{}
	var last uint64
	err := b.Scan(within(t), 0, 1, 0, func(r jetstream.Record) error {
		if frames[r.Seq] == nil {
			frames[r.Seq] = map[string]int{}
		}
		frames[r.Seq][r.Event.Person.Identity.Value]++
		last = r.Seq
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for seq := range last {
		got = append(got, fmt.Sprint(frames[seq+1]))
	}
	want := "map[a:300] map[b:300 c:100] map[d:1] map[e:1] map[f:1] map[g:2 h:1] map[g:1]"
	if all := strings.Join(got, " "); all != want {
		t.Errorf("frames are %s, want %s", all, want)
	}
}
