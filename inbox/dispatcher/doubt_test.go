package dispatcher_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"parley/events"
	"parley/inbox/dispatcher"
	"parley/store/outboundtest"
	"parley/transports"
)

// lister is a provider that can be asked what it has.
type lister struct {
	*provider
	mu    sync.Mutex
	asked map[string]int
	// answer is what it says of a text when it is asked for the nth time.
	answer func(text string, n int) (transports.Receipt, error)
}

var _ transports.Settler = (*lister)(nil)

func (l *lister) Settle(_ context.Context, sent transports.Outbound, _ time.Time) (transports.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[sent.Text]++
	return l.answer(sent.Text, l.asked[sent.Text])
}

func (l *lister) times(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[text]
}

func newLister(answer func(text string, n int) (transports.Receipt, error)) *lister {
	return &lister{provider: newProvider(), asked: make(map[string]int), answer: answer}
}

// use asks soon and often.
func (l *lister) use(o *dispatcher.Options) {
	build := func(transports.Account) (transports.Transport, error) { return l, nil }
	o.Factories = map[events.Transport]transports.Factory{events.SMS: build}
	o.SettleFirst, o.SettleMost = time.Millisecond, 20*time.Millisecond
}

var errNotYet = errors.New("the list does not tell yet")

// What nobody knows is asked about until the provider proves something: that it
// was sent, that it was not, or nothing, for which it stays uncertain. Nothing is
// sent a second time, and what an id of another send says is no proof.
func TestUncertainSendsAreAskedAbout(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 6)
	lost := func() []error {
		return []error{&transports.SendError{Outcome: transports.Unknown, Words: "No answer."}}
	}
	reg := prometheus.NewRegistry()
	l := newLister(func(text string, n int) (transports.Receipt, error) {
		switch text {
		case "there":
			if n < 3 {
				return transports.Receipt{}, errNotYet
			}
			return transports.Receipt{ProviderID: "found", Chat: "p1", AcceptedAt: time.Now()}, nil
		case "absent":
			return transports.Receipt{}, transports.ErrNotFound
		case "of another":
			return transports.Receipt{ProviderID: "m1", Chat: "p6"}, nil
		case "panics":
			panic("a bug")
		case "one":
			return transports.Receipt{ProviderID: "part", Chat: "p5"}, nil
		}
		return transports.Receipt{}, errNotYet
	})
	l.caps.MaxText = 11
	l.script = fails(map[string][]error{
		"there": lost(), "absent": lost(), "of another": lost(), "panics": lost(), "unclear": lost(), "one": lost(),
	})
	known := w.QueueTexts(ch.ID, "p6", "known")[0]
	dispatch(w, l.provider, l.use, func(o *dispatcher.Options) { o.Registerer = reg })
	w.Until("the known one is sent", func() bool { return w.State(known) == "sent" })
	there := w.QueueTexts(ch.ID, "p1", "there", "behind it")
	absent := w.QueueTexts(ch.ID, "p2", "absent")[0]
	another := w.QueueTexts(ch.ID, "p3", "of another")[0]
	panics := w.QueueTexts(ch.ID, "p4", "panics")[0]
	parts := w.QueueTexts(ch.ID, "p5", "one two three four")[0]
	w.Until("what can be is settled", func() bool {
		return w.State(there[0]) == "sent" && w.State(there[1]) == "sent" && w.State(absent) == "failed" && w.State(parts) == "sent" &&
			l.times("of another") > 1 && l.times("panics") > 1
	})
	if w.State(another) != "uncertain" || w.State(panics) != "uncertain" {
		t.Errorf("they are %s and %s", w.State(another), w.State(panics))
	}
	if got := l.acceptedBy("p1"); !reflect.DeepEqual(got, []string{"behind it"}) {
		t.Errorf("sent by us %q", got)
	}
	var id, code string
	var sent bool
	w.Row(`SELECT a.provider_id, m.sent_at IS NOT NULL FROM parley_attempts a JOIN parley_deliveries d ON d.id = a.delivery_id
		JOIN crm_chat_messages m ON m.id = d.message_id WHERE d.id = $1`, []any{there[0]}, &id, &sent)
	w.Row("SELECT code FROM parley_deliveries WHERE id = $1", []any{absent}, &code)
	if id != "found" || !sent || code != "not_accepted" {
		t.Errorf("found as %q, sent_at %v, failed for %q", id, sent, code)
	}
	facts := w.Strings("SELECT DISTINCT verb FROM parley_facts WHERE noun = 'message' AND chat_id = (SELECT chat_id FROM parley_deliveries WHERE id = $1) ORDER BY 1", there[0])
	if len(facts) == 0 || facts[0] != "sent" {
		t.Errorf("facts %q", facts)
	}
	n := testutil.CollectAndCount(reg, "parley_dispatcher_uncertain_asked_total")
	if n < 4 { // sent, failed, taken, unclear
		t.Errorf("%d outcomes are counted", n)
	}
}

// A process that comes after one that died asks about what that left; old doubts
// are left alone, and what a person sends again is not asked about.
func TestDoubtsOfAnotherLifeAreAskedAbout(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 2)
	list := append(w.QueueTexts(ch.ID, "p1", "left"), w.QueueTexts(ch.ID, "p2", "old")...)
	first := newProvider()
	first.script = func(context.Context, transports.Outbound) error {
		return &transports.SendError{Outcome: transports.Unknown, Words: "No answer."}
	}
	r := dispatch(w, first)
	w.Until("both are uncertain", func() bool { return w.States()["uncertain"] == 2 })
	r.end()
	w.Exec("UPDATE parley_attempts SET started_at = now() - interval '2 days' WHERE delivery_id = $1", list[1])
	l := newLister(func(string, int) (transports.Receipt, error) {
		return transports.Receipt{ProviderID: "x", Chat: "p"}, nil
	})
	dispatch(w, l.provider, l.use)
	w.Until("it is settled", func() bool { return w.State(list[0]) == "sent" })
	if w.State(list[1]) != "uncertain" || l.times("old") != 0 {
		t.Errorf("it is %s, asked about %d times", w.State(list[1]), l.times("old"))
	}
}

// Of two equal texts to one person the later began before what the provider has
// was found: it is the later's, or nobody's until that is known.
func TestWhatIsFoundGoesToTheRightOfTwo(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 1)
	list := w.QueueTexts(ch.ID, "p1", "same", "same")
	l := newLister(func(string, int) (transports.Receipt, error) {
		return transports.Receipt{ProviderID: "x", Chat: "p1"}, nil
	})
	l.script = fails(map[string][]error{"same": {
		&transports.SendError{Outcome: transports.Unknown, Words: "No answer."}, &transports.SendError{Outcome: transports.Unknown, Words: "No answer."},
	}})
	w.Exec("UPDATE parley_deliveries SET due_at = now()")
	// Both are uncertain before anybody asks.
	r := dispatch(w, l.provider, func(o *dispatcher.Options) {
		l.use(o)
		o.SettleFirst = time.Hour
		o.SendDeadline = 50 * time.Millisecond
	})
	w.Until("both are uncertain", func() bool { return w.States()["uncertain"] == 2 })
	r.end()
	dispatch(w, l.provider, l.use)
	w.Until("one is settled", func() bool { return w.States()["sent"] == 1 })
	w.Until("the other was asked about", func() bool { return l.times("same") > 3 })
	if w.State(list[1]) != "sent" || w.State(list[0]) != "uncertain" {
		t.Errorf("they are %s and %s", w.State(list[0]), w.State(list[1]))
	}
}
