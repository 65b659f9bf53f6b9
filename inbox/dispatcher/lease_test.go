package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"parley/events"
	"parley/inbox/dispatcher"
	"parley/store/outboundtest"
	"parley/transports"
)

// frozen makes a provider whose sends of that text hang until let go, whatever
// their deadline.
func frozen(text string) (p *provider, hanging chan struct{}, letGo func()) {
	p = newProvider()
	hanging = make(chan struct{}, 10)
	gate := make(chan struct{})
	p.script = func(_ context.Context, part transports.Outbound) error {
		if part.Text == text {
			hanging <- struct{}{}
			<-gate
		}
		return nil
	}
	return p, hanging, sync.OnceFunc(func() { close(gate) })
}

// steal takes the channels' leases away, as if their holder had been frozen for
// longer than they last.
func steal(w *outboundtest.World) {
	w.T.Helper()
	w.Exec("UPDATE parley_leases SET epoch = epoch + 1, owner = NULL, lease_until = '-infinity' WHERE starts_with(name, 'dispatch:')")
}

func TestAFrozenProcessNeverCausesASecondSend(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 2)
	stuck := w.QueueTexts(ch.ID, "p1", "stuck")[0]
	w.QueueTexts(ch.ID, "p2", "fine")
	behind := w.QueueTexts(ch.ID, "p1", "behind")[0]

	p, hanging, letGo := frozen("stuck")
	t.Cleanup(letGo)
	first := dispatch(w, p)
	<-hanging
	w.Until("the other is sent", func() bool { return w.States()["sent"] == 1 })

	// Its lease is gone; whoever takes the channel finds the message under way.
	heir := newProvider()
	steal(w)
	dispatch(w, heir)
	w.Until("it is uncertain", func() bool { return w.State(stuck) == "uncertain" })
	if w.State(behind) != "queued" {
		t.Errorf("the message behind it is %s", w.State(behind))
	}

	// The frozen process wakes: its answer is proof, and releases the lane.
	letGo()
	w.Until("it is sent", func() bool { return w.State(stuck) == "sent" && w.State(behind) == "sent" })
	first.end()
	all := append(p.accepted(), heir.accepted()...)
	slices.Sort(all)
	if want := []string{"p1: behind", "p1: stuck", "p2: fine"}; !reflect.DeepEqual(all, want) {
		t.Errorf("accepted %q, want %q", all, want)
	}
	var uncertain int
	w.Row("SELECT coalesce(sum(coalesce(cardinality(chat_ids), 1)), 0)::int FROM parley_facts WHERE noun = 'message' AND verb = 'uncertain'", nil, &uncertain)
	if uncertain != 1 {
		t.Errorf("%d facts say uncertain, want 1", uncertain)
	}
}

func TestAnAnswerAfterTheDeadlineSettlesWhatWasUncertain(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 1)
	id := w.QueueTexts(ch.ID, "p1", "slow")[0]
	p, _, letGo := frozen("slow")
	t.Cleanup(letGo)
	dispatch(w, p, func(o *dispatcher.Options) { o.SendDeadline = 20 * time.Millisecond })
	w.Until("it is uncertain", func() bool { return w.State(id) == "uncertain" })
	letGo()
	w.Until("it is sent", func() bool { return w.State(id) == "sent" })
	if p.count() != 1 {
		t.Errorf("sent %d times", p.count())
	}
}

func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 2)
	id := w.QueueTexts(ch.ID, "p1", "slow", "behind")[0]
	p, hanging, letGo := frozen("slow")
	t.Cleanup(letGo)
	r := dispatch(w, p)
	<-hanging
	r.stop()
	w.Queue(ch.ID, "other", "p2") // may just be caught, or not
	letGo()
	r.end()
	// Had it not waited, what was under way would still be.
	states := w.States()
	if w.State(id) != "sent" || states["sent"]+states["queued"] != 3 || states["sent"] != p.count() {
		t.Errorf("it is %s, all are %v, %d accepted", w.State(id), states, p.count())
	}
	if live, err := w.DB.CountLeases(t.Context(), "dispatch"); live != 0 || err != nil {
		t.Errorf("%d leases are still held, %v", live, err)
	}
}

func TestDispatchersShareTheChannels(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	for range 5 {
		w.Channel(events.Telegram)
	}
	held := func() []int {
		owners := make(map[string]int)
		leases, err := w.DB.LiveLeases(t.Context(), "dispatch:")
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range leases {
			owners[l.Owner]++
		}
		var counts []int
		for _, n := range owners {
			counts = append(counts, n)
		}
		slices.Sort(counts)
		return counts
	}
	first := dispatch(w, newProvider())
	w.Until("one has all", func() bool { return reflect.DeepEqual(held(), []int{5}) })
	dispatch(w, newProvider())
	w.Until("two share", func() bool { return reflect.DeepEqual(held(), []int{2, 3}) })
	dispatch(w, newProvider())
	w.Until("three share", func() bool { return reflect.DeepEqual(held(), []int{1, 2, 2}) })
	first.end()
	w.Until("two share again", func() bool { return reflect.DeepEqual(held(), []int{2, 3}) })
}

// However often the database goes away in the middle of things, every message
// is sent once, and none is called uncertain that was not.
func TestALostDatabaseLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	const lanes, rounds = 50, 40
	w.People(ch.ID, "p", lanes)
	for round := range rounds {
		w.Queue(ch.ID, fmt.Sprint(round), outboundtest.Addresses("p", lanes, 1)...)
	}
	p := newProvider()
	var sends sync.Map // accepted before each cut, so that the cuts come at different places
	cut := make(chan struct{}, 1)
	p.script = func(_ context.Context, part transports.Outbound) error {
		if _, again := sends.LoadOrStore(part.Text, true); again {
			return &transports.SendError{Outcome: transports.Rejected, Words: "sent before", Err: errors.New("doubled")}
		}
		if len(part.Text)%3 == 0 {
			select {
			case cut <- struct{}{}:
			default:
			}
		}
		return nil
	}
	dispatch(w, p, func(o *dispatcher.Options) { o.Concurrency = 16 })
	for range 10 {
		<-cut
		w.Disconnect()
	}
	w.Until("all are sent", func() bool {
		select {
		case <-cut:
		default:
		}
		return w.States()["sent"]+w.States()["failed"]+w.States()["uncertain"] == lanes*rounds
	})
	if got := w.States(); got["sent"] != lanes*rounds {
		t.Errorf("ended as %v", got)
	}
	if p.count() != lanes*rounds {
		t.Errorf("%d accepted, want %d", p.count(), lanes*rounds)
	}
}
