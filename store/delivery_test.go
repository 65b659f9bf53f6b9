package store_test

import (
	"testing"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/outboundtest"
)

func TestCancelDelivery(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 1)
	list := w.QueueTexts(ch.ID, "p1", "first", "second", "third")
	o := own(t, w, ch.ID)
	res := o.must(o.turn(1, nil))

	if err := w.DB.CancelDelivery(t.Context(), w.Tenant, list[0]); inbox.CodeOf(err) != inbox.Conflict {
		t.Errorf("cancelling what is on its way: %v", err)
	}
	if err := w.DB.CancelDelivery(t.Context(), w.Tenant, list[1]); err != nil {
		t.Error(err)
	}
	if err := w.DB.CancelDelivery(t.Context(), w.Tenant, 999); inbox.CodeOf(err) != inbox.NotFound {
		t.Errorf("cancelling nothing: %v", err)
	}
	stranger, err := w.DB.CreateTenant(t.Context(), "Rival")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.DB.CancelDelivery(t.Context(), stranger.ID, list[2]); inbox.CodeOf(err) != inbox.NotFound {
		t.Errorf("cancelling another tenant's: %v", err)
	}
	next := o.must(o.turn(1, nil, o.ended(res, 0, store.AttemptSent, inbox.Sent)))
	if len(ids(next)) != 1 || ids(next)[0] != list[2] {
		t.Errorf("then claimed %v, want %d", ids(next), list[2])
	}
}

// A message cancelled between a turn's look and its claim is not sent.
func TestCancelWhileClaiming(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 2)
	list := w.Queue(ch.ID, "hello", "p1", "p2")
	o := own(t, w, ch.ID)
	turn := store.DispatchTurn{Lease: o.lease, Channel: ch.ID, At: o.start, Limit: 10}
	res, err := o.db.Dispatch(t.Context(), turn, func(heads []store.Head) []store.Claim {
		if err := w.DB.CancelDelivery(t.Context(), w.Tenant, list[0]); err != nil {
			t.Error(err)
		}
		return accept(heads)
	})
	if err != nil || len(ids(res)) != 1 || ids(res)[0] != list[1] {
		t.Errorf("claimed %v, %v", ids(res), err)
	}
	if w.State(list[0]) != "cancelled" {
		t.Errorf("it is %s", w.State(list[0]))
	}
}

func TestUncertainIsSettledByHand(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 4)
	list := w.Queue(ch.ID, "hello", outboundtest.Addresses("p", 4, 1)...)
	behind := w.Queue(ch.ID, "behind", "p1")[0]
	o := own(t, w, ch.ID)
	res := o.must(o.turn(10, nil))
	place := make(map[int64]int)
	for i, h := range res.Heads {
		place[h.ID] = i
	}
	settling := make([]store.Settlement, 0, 4)
	for _, id := range list {
		settling = append(settling, o.ended(res, place[id], store.AttemptUncertain, inbox.Uncertain))
	}
	o.must(o.turn(0, nil, settling...))
	ctx := t.Context()
	for _, err := range []error{
		w.DB.ResendUncertain(ctx, w.Tenant, list[0]),
		w.DB.SettleUncertain(ctx, w.Tenant, list[1], inbox.Sent),
		w.DB.SettleUncertain(ctx, w.Tenant, list[2], inbox.Failed),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := w.DB.SettleUncertain(ctx, w.Tenant, list[3], inbox.Read); inbox.CodeOf(err) != inbox.Invalid {
		t.Errorf("settling as read: %v", err)
	}
	if err := w.DB.ResendUncertain(ctx, w.Tenant, list[1]); inbox.CodeOf(err) != inbox.Conflict {
		t.Errorf("resending what was settled: %v", err)
	}
	for i, want := range []string{"queued", "sent", "failed", "uncertain"} {
		if got := w.State(list[i]); got != want {
			t.Errorf("delivery %d is %s, want %s", i, got, want)
		}
	}
	// What is sent again goes first, as a new attempt.
	next := o.must(o.turn(10, nil))
	if len(ids(next)) != 1 || ids(next)[0] != list[0] || next.Heads[0].Attempt != 2 {
		t.Fatalf("then claimed %+v", next.Heads)
	}
	// Proof that the first attempt had arrived after all settles it; the answer of
	// the second changes nothing.
	if err := o.db.SettleLate(ctx, []store.Settlement{o.ended(res, place[list[0]], store.AttemptSent, inbox.Sent)}); err != nil {
		t.Fatal(err)
	}
	last := o.must(o.turn(10, nil, o.ended(next, 0, store.AttemptRejected, inbox.Failed)))
	if w.State(list[0]) != "sent" || len(ids(last)) != 1 || ids(last)[0] != behind {
		t.Errorf("it is %s, then claimed %v", w.State(list[0]), ids(last))
	}
	facts := w.Strings("SELECT verb FROM parley_facts, generate_series(1, coalesce(cardinality(chat_ids), 1)) WHERE noun = 'message' ORDER BY verb")
	want := []string{"failed", "queued", "sent", "sent", "uncertain", "uncertain", "uncertain", "uncertain"}
	if len(facts) != len(want) {
		t.Errorf("facts %q, want %q", facts, want)
	}
}
