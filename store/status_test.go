package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/outboundtest"
)

// permutations of a list, each once.
func permutations(list []string) [][]string {
	if len(list) == 0 {
		return [][]string{nil}
	}
	var all [][]string
	for i := range list {
		rest := append(append([]string(nil), list[:i]...), list[i+1:]...)
		for _, p := range permutations(rest) {
			all = append(all, append([]string{list[i]}, p...))
		}
	}
	return all
}

// However the answer of a send, its repetition by a late process, and the
// provider's reports are ordered, a message's state only moves forward, and what
// the person has is never called failed.
func TestStatesNeverGoBackwards(t *testing.T) {
	t.Parallel()
	for _, outcome := range []store.AttemptOutcome{store.AttemptSent, store.AttemptUncertain, store.AttemptRetry, store.AttemptRejected} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			orders := permutations([]string{"answer", "late proof", "delivered", "read", "failed"})
			w := outboundtest.New(t)
			ch := w.Channel(events.SMS)
			w.People(ch.ID, "p", len(orders))
			w.Queue(ch.ID, "hello", outboundtest.Addresses("p", len(orders), 1)...)
			o := own(t, w, ch.ID)
			res := o.must(o.turn(len(orders), nil))
			for i, order := range orders {
				h := res.Heads[i]
				ref := res.Claims[i].Ref.String()
				state := inbox.DeliveryState(w.State(h.ID))
				for _, step := range order {
					o.step(res, i, outcome, step, ref)
					next := inbox.DeliveryState(w.State(h.ID))
					// Certainly not sent goes back to where it was before the attempt.
					again := step == "answer" && outcome == store.AttemptRetry && state == inbox.Sending && next == inbox.Queued
					if next != state && !inbox.Advances(state, next) && !again {
						t.Errorf("%s: %s moved it from %s to %s", strings.Join(order, ", "), step, state, next)
					}
					state = next
				}
				if state != inbox.Read {
					t.Errorf("%s: it ended %s", strings.Join(order, ", "), state)
				}
				var sent, read bool
				w.Row("SELECT sent_at IS NOT NULL, read_at IS NOT NULL FROM crm_chat_messages WHERE id = $1", []any{h.Message}, &sent, &read)
				if !sent || !read {
					t.Errorf("%s: sent_at %v, read_at %v", strings.Join(order, ", "), sent, read)
				}
			}
		})
	}
}

// step is one thing that happens to the i-th claim of a turn.
func (o *owner) step(res store.DispatchResult, i int, outcome store.AttemptOutcome, step, ref string) {
	o.t.Helper()
	h := res.Heads[i]
	switch step {
	case "answer":
		to := map[store.AttemptOutcome]inbox.DeliveryState{
			store.AttemptSent: inbox.Sent, store.AttemptUncertain: inbox.Uncertain,
			store.AttemptRetry: inbox.Queued, store.AttemptRejected: inbox.Failed,
		}[outcome]
		o.must(o.turn(0, nil, o.ended(res, i, outcome, to)))
	case "late proof":
		proof := o.ended(res, i, store.AttemptSent, inbox.Sent)
		if err := o.db.SettleLate(o.t.Context(), []store.Settlement{proof}); err != nil {
			o.t.Fatal(err)
		}
	default:
		key := events.MessageKey{Chat: h.Lane, Message: fmt.Sprint("p", h.ID, "-0-1")}
		if _, found, err := o.db.Report(o.t.Context(), o.ch, key, ref, inbox.DeliveryState(step)); err != nil || !found {
			o.t.Fatalf("%s: found %v, %v", step, found, err)
		}
	}
}

func TestReportsByKeyAndByReference(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	other := w.Channel(events.SMS)
	w.People(ch.ID, "p", 1)
	w.Queue(ch.ID, "hello", "p1")
	o := own(t, w, ch.ID)
	res := o.must(o.turn(1, nil))
	key := events.MessageKey{Chat: "p1", Message: fmt.Sprint("p", res.Heads[0].ID, "-0-1")}
	ref := res.Claims[0].Ref.String()

	for _, r := range []struct {
		ch  events.ChannelID
		key events.MessageKey
		ref string
	}{
		{ch.ID, key, ""}, // nobody knows the key yet
		{other.ID, key, ref},
		{ch.ID, key, "no reference"},
	} {
		if state, found, err := w.DB.Report(t.Context(), r.ch, r.key, r.ref, inbox.Delivered); found || err != nil {
			t.Errorf("%+v: %s, %v, %v", r, state, found, err)
		}
	}
	// The callback comes before the answer of the send.
	state, found, err := w.DB.Report(t.Context(), ch.ID, key, ref, inbox.Delivered)
	if state != inbox.Delivered || !found || err != nil {
		t.Fatalf("by reference: %s, %v, %v", state, found, err)
	}
	// A report of the same is no news; the next comes by key alone.
	state, found, err = w.DB.Report(t.Context(), ch.ID, key, ref, inbox.Delivered)
	if state != "" || !found || err != nil {
		t.Errorf("again: %s, %v, %v", state, found, err)
	}
	state, found, err = w.DB.Report(t.Context(), ch.ID, key, "", inbox.Read)
	if state != inbox.Read || !found || err != nil {
		t.Errorf("by key: %s, %v, %v", state, found, err)
	}
}

// Only the last part tells of the message; any part's failure fails it.
func TestReportsAboutParts(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 1)
	id := w.Queue(ch.ID, "hello", "p1")[0]
	o := own(t, w, ch.ID)
	two := func(heads []store.Head) []store.Claim {
		return []store.Claim{{Parts: 2, Split: []byte(`[{"text": "a"}, {"text": "b"}]`)}}
	}
	turn := func(settling ...store.Settlement) store.DispatchResult {
		t.Helper()
		return o.must(o.db.Dispatch(t.Context(), store.DispatchTurn{
			Lease: o.lease, Channel: ch.ID, At: o.start, Limit: 1, Settling: settling, Hold: time.Hour,
		}, two))
	}
	report := func(res store.DispatchResult, part int, to inbox.DeliveryState, want string) {
		t.Helper()
		key := events.MessageKey{Chat: "p1", Message: fmt.Sprintf("p%d-%d-1", id, part)}
		ref := ""
		if len(res.Claims) > 0 {
			ref = res.Claims[0].Ref.String()
		}
		if _, found, err := o.db.Report(t.Context(), ch.ID, key, ref, to); !found || err != nil {
			t.Fatalf("found %v, %v", found, err)
		}
		if got := w.State(id); got != want {
			t.Errorf("after %s of part %d it is %s, want %s", to, part, got, want)
		}
	}
	first := turn()
	// Nobody knows whether the first part arrived, until it is reported.
	turn(o.ended(first, 0, store.AttemptUncertain, inbox.Uncertain))
	report(first, 0, inbox.Delivered, "queued")
	second := turn()
	if len(second.Heads) != 1 || second.Heads[0].PartsSent != 1 || second.Heads[0].Attempt != 1 || second.Heads[0].Split == nil {
		t.Fatalf("the second part was not claimed: %+v", second.Heads)
	}
	report(store.DispatchResult{}, 0, inbox.Read, "sending")
	turn(o.ended(second, 0, store.AttemptSent, inbox.Sent))
	if w.State(id) != "sent" {
		t.Errorf("it is %s", w.State(id))
	}
	report(store.DispatchResult{}, 0, inbox.Read, "sent")
	report(store.DispatchResult{}, 0, inbox.Failed, "failed")
	report(store.DispatchResult{}, 1, inbox.Delivered, "delivered")
}
