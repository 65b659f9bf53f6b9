package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/outboundtest"
)

// owner is a process that dispatches one channel.
type owner struct {
	*outboundtest.World
	t     *testing.T
	db    *store.DB
	lease store.Lease
	ch    events.ChannelID
	// clock is added to the database's time of setting up.
	start time.Time
	clock time.Duration
	last  store.LaneCursor
}

// own takes a channel, from whoever has it.
func own(t *testing.T, w *outboundtest.World, ch events.ChannelID) *owner {
	t.Helper()
	name := "dispatch:" + string(ch)
	w.Exec("UPDATE parley_leases SET lease_until = now() WHERE name = $1", name)
	o := &owner{World: w, t: t, db: w.Open(), ch: ch}
	lease, ok, err := o.db.AcquireLease(t.Context(), name, uuid.NewString(), time.Hour)
	if err != nil || !ok {
		t.Fatalf("no lease: %v", err)
	}
	o.lease = lease
	// Later than anything that is queued.
	w.Row("SELECT clock_timestamp() + interval '1 min'", nil, &o.start)
	return o
}

// turn runs one that claims up to limit and settles these.
func (o *owner) turn(limit int, adjust func(*store.DispatchTurn), settling ...store.Settlement) (store.DispatchResult, error) {
	t := store.DispatchTurn{
		Lease: o.lease, Channel: o.ch, At: o.start.Add(o.clock), Settling: settling,
		Limit: limit, After: o.last, Hold: 40 * time.Second,
	}
	if adjust != nil {
		adjust(&t)
	}
	res, err := o.db.Dispatch(o.t.Context(), t, accept)
	if err == nil && limit > 0 {
		o.last = res.Last
	}
	return res, err
}

func (o *owner) must(res store.DispatchResult, err error) store.DispatchResult {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
	return res
}

// accept claims everything as one part.
func accept(heads []store.Head) []store.Claim {
	claims := make([]store.Claim, len(heads))
	for i := range claims {
		claims[i] = store.Claim{Parts: 1}
	}
	return claims
}

// ids are the deliveries that a turn claimed.
func ids(res store.DispatchResult) []int64 {
	var list []int64
	for i, h := range res.Heads {
		if res.Claimed[i] {
			list = append(list, h.ID)
		}
	}
	return list
}

// ended is a settlement of the i-th claim of a turn.
func (o *owner) ended(res store.DispatchResult, i int, outcome store.AttemptOutcome, to inbox.DeliveryState) store.Settlement {
	h := res.Heads[i]
	s := store.Settlement{
		AttemptKey: store.AttemptKey{Delivery: h.ID, Part: h.PartsSent, Attempt: h.Attempt},
		Channel:    o.ch, Lane: h.Lane, Outcome: outcome, To: to,
	}
	switch outcome {
	case store.AttemptSent:
		s.ProviderChat, s.ProviderID = h.Lane, fmt.Sprint("p", h.ID, "-", h.PartsSent, "-", h.Attempt)
	case store.AttemptUncertain:
		s.Wait = 40 * time.Second
	case store.AttemptPending, store.AttemptRetry, store.AttemptRejected:
	}
	return s
}

func TestOnlyHeadsOfLanesAreClaimed(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 3)
	first := w.Queue(ch.ID, "first", "p1", "p2", "p3")
	second := w.Queue(ch.ID, "second", "p1", "p2", "p3")
	o := own(t, w, ch.ID)

	res := o.must(o.turn(10, nil))
	got := ids(res)
	slices.Sort(got)
	if !reflect.DeepEqual(got, first) {
		t.Fatalf("claimed %v, want %v", got, first)
	}
	if again := o.must(o.turn(10, nil)); len(again.Heads) != 0 {
		t.Errorf("claimed %v behind what is under way", ids(again))
	}
	// What ends makes room for what is behind it, in the same turn.
	next := o.must(o.turn(10, nil, o.ended(res, 0, store.AttemptSent, inbox.Sent)))
	if len(ids(next)) != 1 || next.Heads[0].Lane != res.Heads[0].Lane || !slices.Contains(second, ids(next)[0]) {
		t.Errorf("then claimed %+v", next.Heads)
	}
	var sent bool
	w.Row("SELECT sent_at IS NOT NULL FROM crm_chat_messages WHERE id = $1", []any{res.Heads[0].Message}, &sent)
	if !sent || w.State(res.Heads[0].ID) != "sent" {
		t.Error("the message does not show as sent")
	}
}

func TestUncertainHoldsItsLaneForExactlyItsTime(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 1)
	list := w.QueueTexts(ch.ID, "p1", "first", "second")
	o := own(t, w, ch.ID)
	res := o.must(o.turn(10, nil))

	// Settled at 0, for 40 s.
	got := o.must(o.turn(10, nil, o.ended(res, 0, store.AttemptUncertain, inbox.Uncertain)))
	if len(got.Heads) != 0 || got.Next != 40*time.Second {
		t.Fatalf("claimed %v, next in %s", ids(got), got.Next)
	}
	o.clock = 40*time.Second - time.Microsecond
	if got := o.must(o.turn(10, nil)); len(got.Heads) != 0 || got.Released != 0 {
		t.Errorf("%s early: %+v", time.Microsecond, got)
	}
	o.clock = 40 * time.Second
	got = o.must(o.turn(10, nil))
	if got.Released != 1 || !reflect.DeepEqual(ids(got), list[1:]) {
		t.Errorf("in time: released %d, claimed %v", got.Released, ids(got))
	}
	var words string
	w.Row("SELECT words FROM parley_deliveries WHERE id = $1", []any{list[0]}, &words)
	if w.State(list[0]) != "uncertain" || words != "Later messages are no longer held back for it." {
		t.Errorf("it is %s: %q", w.State(list[0]), words)
	}
}

func TestTakeOverMakesWhatWasUnderWayUncertainOnce(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 2)
	list := w.Queue(ch.ID, "hello", "p1", "p2")
	old := own(t, w, ch.ID)
	res := old.must(old.turn(1, nil))

	heir := own(t, w, ch.ID)
	takeOver := func(t *store.DispatchTurn) { t.TakeOver = true }
	got := heir.must(heir.turn(10, takeOver))
	if got.TakenOver != 1 || len(ids(got)) != 1 || ids(got)[0] == ids(res)[0] {
		t.Fatalf("took over %d, claimed %v after %v", got.TakenOver, ids(got), ids(res))
	}
	if w.State(ids(res)[0]) != "uncertain" {
		t.Errorf("what was under way is %s", w.State(ids(res)[0]))
	}

	// The old owner can neither claim nor settle by right.
	if _, err := old.turn(10, nil, old.ended(res, 0, store.AttemptSent, inbox.Sent)); !errors.Is(err, store.ErrFenced) {
		t.Fatalf("the old owner: %v", err)
	}
	if w.State(ids(res)[0]) != "uncertain" {
		t.Error("a fenced turn changed something")
	}
	// But its proof counts, and once.
	proof := old.ended(res, 0, store.AttemptSent, inbox.Sent)
	for range 2 {
		if err := old.db.SettleLate(t.Context(), []store.Settlement{proof}); err != nil {
			t.Fatal(err)
		}
	}
	var facts int
	w.Row("SELECT coalesce(sum(coalesce(cardinality(chat_ids), 1)), 0)::int FROM parley_facts WHERE verb = 'sent'", nil, &facts)
	if w.State(ids(res)[0]) != "sent" || facts != 1 {
		t.Errorf("after late proof it is %s, %d facts", w.State(ids(res)[0]), facts)
	}
	_ = list
}

func TestLateCertainty(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		taken   bool // the heir has made it uncertain
		gone    bool // and its lane has gone on
		outcome store.AttemptOutcome
		want    string
	}{
		{"sent, not taken over yet", false, false, store.AttemptSent, "sent"},
		{"not sent, not taken over yet", false, false, store.AttemptRetry, "queued"},
		{"not sent, its lane held", true, false, store.AttemptRetry, "queued"},
		{"not sent, its lane gone on", true, true, store.AttemptRetry, "failed"},
		{"rejected", true, false, store.AttemptRejected, "failed"},
		{"sent, its lane gone on", true, true, store.AttemptSent, "sent"},
		{"nobody knows", true, false, store.AttemptUncertain, "uncertain"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := outboundtest.New(t)
			ch := w.Channel(events.SMS)
			w.People(ch.ID, "p", 1)
			list := w.Queue(ch.ID, "hello", "p1")
			old := own(t, w, ch.ID)
			res := old.must(old.turn(1, nil))
			heir := own(t, w, ch.ID)
			if tt.taken {
				heir.must(heir.turn(1, func(t *store.DispatchTurn) { t.TakeOver = true }))
			}
			if tt.gone {
				heir.clock = time.Hour
				heir.must(heir.turn(1, nil))
			}
			late := old.ended(res, 0, tt.outcome, inbox.Sent)
			if err := old.db.SettleLate(t.Context(), []store.Settlement{late}); err != nil {
				t.Fatal(err)
			}
			if got := w.State(list[0]); got != tt.want {
				t.Errorf("it is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestRecoverQueuesOnlyWhatNeverLeft(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 3)
	w.Queue(ch.ID, "hello", "p1", "p2", "p3")
	o := own(t, w, ch.ID)
	res := o.must(o.turn(2, nil))
	// The first is under way; that the second was claimed nobody learnt.
	known := []store.AttemptKey{{Delivery: ids(res)[0], Part: 0, Attempt: 1}}
	got := o.must(o.turn(0, func(t *store.DispatchTurn) { t.Known = known }))
	if got.Recovered != 1 || w.State(ids(res)[0]) != "sending" || w.State(ids(res)[1]) != "queued" {
		t.Errorf("recovered %d; %s and %s", got.Recovered, w.State(ids(res)[0]), w.State(ids(res)[1]))
	}
	next := o.must(o.turn(10, func(t *store.DispatchTurn) { t.Busy = []string{res.Heads[0].Lane} }))
	if len(ids(next)) != 2 {
		t.Errorf("then claimed %v", ids(next))
	}
}

func TestEveryLaneGetsItsTurn(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 6)
	for range 3 {
		w.Queue(ch.ID, "hello", outboundtest.Addresses("p", 6, 1)...)
	}
	o := own(t, w, ch.ID)
	var settling []store.Settlement
	var lanes []string
	for range 9 {
		res := o.must(o.turn(2, nil, settling...))
		settling = nil
		for i := range res.Heads {
			lanes = append(lanes, res.Heads[i].Lane)
			settling = append(settling, o.ended(res, i, store.AttemptSent, inbox.Sent))
		}
	}
	if len(lanes) != 18 {
		t.Fatalf("claimed %q", lanes)
	}
	for round := range 3 {
		got := slices.Clone(lanes[round*6 : round*6+6])
		slices.Sort(got)
		if !reflect.DeepEqual(got, outboundtest.Addresses("p", 6, 1)) {
			t.Errorf("round %d went to %q", round, got)
		}
	}
}

// A lane is removed when it is found empty, but not while a reply arrives.
func TestEmptyLanesAreRemoved(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 1)
	w.Queue(ch.ID, "hello", "p1")
	o := own(t, w, ch.ID)
	res := o.must(o.turn(10, nil))
	lanes := func() (n int) {
		w.Row("SELECT count(*) FROM parley_lanes", nil, &n)
		return n
	}
	// Between the look at the empty lane and its removal another message comes.
	o.must(o.turn(0, nil, o.ended(res, 0, store.AttemptSent, inbox.Sent)))
	w.Queue(ch.ID, "other", "p1")
	w.Exec("UPDATE parley_deliveries SET state = 'cancelled' WHERE state = 'queued'")
	turn := store.DispatchTurn{Lease: o.lease, Channel: ch.ID, At: o.start, Limit: 10}
	w.People(ch.ID, "q", 1)
	w.Queue(ch.ID, "elsewhere", "q1") // so that decide is called
	_, err := o.db.Dispatch(t.Context(), turn, func(heads []store.Head) []store.Claim {
		w.Queue(ch.ID, "late", "p1")
		return accept(heads)
	})
	if err != nil {
		t.Fatal(err)
	}
	if lanes() != 2 {
		t.Fatal("the lane is gone, and its message would never leave")
	}
	got := o.must(o.turn(10, func(t *store.DispatchTurn) { t.Busy = []string{"q1"} }))
	if len(ids(got)) != 1 {
		t.Fatal("the late message was not found")
	}
	o.must(o.turn(10, func(t *store.DispatchTurn) { t.Busy = []string{"q1"} }, o.ended(got, 0, store.AttemptSent, inbox.Sent)))
	if lanes() != 1 {
		t.Errorf("%d lanes are left, want 1", lanes())
	}
}

func TestNewAddressMovesTheLane(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 1)
	list := w.QueueTexts(ch.ID, "p1", "first", "second")
	o := own(t, w, ch.ID)
	res := o.must(o.turn(10, nil))
	s := o.ended(res, 0, store.AttemptRetry, inbox.Queued)
	s.NewAddress = "moved"
	got := o.must(o.turn(10, nil, s))
	if !reflect.DeepEqual(ids(got), list[:1]) || got.Heads[0].Lane != "moved" {
		t.Fatalf("claimed %+v", got.Heads)
	}
	var address string
	w.Row("SELECT address FROM crm_chat_members WHERE provider_user = 'p1'", nil, &address)
	lanes := w.Strings("SELECT lane FROM parley_lanes")
	if address != "moved" || !reflect.DeepEqual(lanes, []string{"moved"}) {
		t.Errorf("address %q, lanes %q", address, lanes)
	}
	next := o.must(o.turn(10, nil, o.ended(got, 0, store.AttemptSent, inbox.Sent)))
	if !reflect.DeepEqual(ids(next), list[1:]) || next.Heads[0].Lane != "moved" {
		t.Errorf("then claimed %+v", next.Heads)
	}
}

// What a provider says must not keep others' outcomes from being stored.
func TestHostileAnswersAreStored(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 4)
	w.Queue(ch.ID, "hello", outboundtest.Addresses("p", 4, 1)...)
	o := own(t, w, ch.ID)
	res := o.must(o.turn(10, nil))
	list := make([]store.Settlement, 4)
	for i := range list {
		list[i] = o.ended(res, i, store.AttemptSent, inbox.Sent)
	}
	list[0].ProviderID, list[0].Words, list[0].Code = "a\x00b", "nul \x00 and \xff", "\xff\x00"
	list[1].ProviderID = string(make([]byte, 5000))
	list[2].ProviderID, list[2].ProviderChat = "same", "chat"
	list[3].ProviderID, list[3].ProviderChat = "same", "chat"
	o.must(o.turn(0, nil, list...))
	if n := w.States()["sent"]; n != 4 {
		t.Errorf("%d sent, want 4", n)
	}
	if got := w.Strings("SELECT provider_id FROM parley_attempts WHERE provider_id IS NOT NULL"); !reflect.DeepEqual(got, []string{"same"}) {
		t.Errorf("provider ids %q", got)
	}
}
