package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/outboundtest"
)

// inbound is the router's side of a world of sending.
type inbound struct {
	*outboundtest.World
	lease *store.PartitionLease
}

func inboundOf(t *testing.T, w *outboundtest.World) *inbound {
	t.Helper()
	if err := w.DB.EnsurePartitions(t.Context(), func(context.Context) ([]store.PartitionStream, error) {
		return []store.PartitionStream{{Name: "TEST", Identity: "1", First: 1}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	lease, err := w.DB.TakePartition(t.Context(), t.Name(), time.Hour)
	if err != nil || lease == nil {
		t.Fatal("no partition to take: ", err)
	}
	return &inbound{World: w, lease: lease}
}

// reports stores a provider's status callback as a router does.
func (in *inbound) reports(ch events.ChannelID, key events.MessageKey, s events.Status) {
	in.T.Helper()
	ev := &events.Inbound{
		ID: events.EventID(uuid.Must(uuid.NewV7()).String()), Tenant: in.Tenant, Channel: ch, Transport: events.SMS,
		AcceptedAt: time.Now().UTC(), Kind: events.StatusChanged, Key: key, ProviderEvent: uuid.NewString(),
		Status: &s, Raw: json.RawMessage(`{}`),
	}
	res, err := in.DB.StoreBatch(in.T.Context(), in.lease, []store.InboundRecord{{Seq: in.lease.LastSeq + 1, Event: ev}})
	if err != nil || res.Count(store.Persisted) != 1 {
		in.T.Fatal(res, err)
	}
}

// waiting counts statuses that have not been applied.
func (in *inbound) waiting() (n int) {
	in.T.Helper()
	in.Row("SELECT count(*) FROM parley_updates WHERE applied_at IS NULL", nil, &n)
	return n
}

// A callback that carries our reference finds its message before and after the
// send's answer, with the provider's id and without, in whatever order.
func TestStatusesFindTheirAttemptByReference(t *testing.T) {
	t.Parallel()
	keys := map[string]func(lane string, id int64) events.MessageKey{
		"with the provider's id": func(lane string, id int64) events.MessageKey {
			return events.MessageKey{Chat: lane, Message: fmt.Sprint("p", id, "-0-1")}
		},
		"by reference only": func(string, int64) events.MessageKey { return events.MessageKey{} },
		"with half a key":   func(lane string, _ int64) events.MessageKey { return events.MessageKey{Chat: lane} },
	}
	for name, key := range keys {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			orders := permutations([]string{"answer", "sent", "delivered", "read"})
			w := outboundtest.New(t)
			ch := w.Channel(events.SMS)
			w.People(ch.ID, "p", len(orders))
			w.Queue(ch.ID, "hello", outboundtest.Addresses("p", len(orders), 1)...)
			o, in := own(t, w, ch.ID), inboundOf(t, w)
			res := o.must(o.turn(len(orders), nil))
			for i, order := range orders {
				h := res.Heads[i]
				state := inbox.DeliveryState(w.State(h.ID))
				for _, step := range order {
					if step == "answer" {
						o.must(o.turn(0, nil, o.ended(res, i, store.AttemptSent, inbox.Sent)))
					} else {
						in.reports(ch.ID, key(h.Lane, h.ID), events.Status{Name: events.StatusName(step), Ref: res.Claims[i].Ref.String()})
					}
					next := inbox.DeliveryState(w.State(h.ID))
					if next != state && !inbox.Advances(state, next) {
						t.Errorf("%v: %s moved it from %s to %s", order, step, state, next)
					}
					state = next
				}
				var outcome, id string
				var sent, read bool
				w.Row("SELECT outcome, coalesce(provider_id, '') FROM parley_attempts WHERE delivery_id = $1", []any{h.ID}, &outcome, &id)
				w.Row("SELECT sent_at IS NOT NULL, read_at IS NOT NULL FROM crm_chat_messages WHERE id = $1", []any{h.Message}, &sent, &read)
				if want := fmt.Sprint("p", h.ID, "-0-1"); state != inbox.Read || outcome != "sent" || id != want || !sent || !read {
					t.Errorf("%v: %s, attempt %s as %q, sent_at %v, read_at %v", order, state, outcome, id, sent, read)
				}
			}
			if n := in.waiting(); n != 0 {
				t.Errorf("%d statuses wait", n)
			}
		})
	}
}

// A reference is the provider's to echo, so it may be anything; and it counts
// only on the channel that the attempt was made on.
func TestReferencesThatAreNotOursChangeNothing(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch, other := w.Channel(events.SMS), w.Channel(events.SMS)
	w.People(ch.ID, "p", 1)
	id := w.Queue(ch.ID, "hello", "p1")[0]
	o, in := own(t, w, ch.ID), inboundOf(t, w)
	res := o.must(o.turn(1, nil))
	in.reports(other.ID, events.MessageKey{}, events.Status{Name: events.Read, Ref: res.Claims[0].Ref.String()})
	for _, ref := range []string{"x", "{" + uuid.NewString() + "}", uuid.NewString(), "urn:uuid:" + uuid.NewString(), "'; --"} {
		in.reports(ch.ID, events.MessageKey{}, events.Status{Name: events.Read, Ref: ref})
	}
	if n, err := w.DB.ApplyMissed(t.Context(), []events.ChannelID{ch.ID, other.ID}, 100); n != 0 || err != nil {
		t.Errorf("missed %d, %v", n, err)
	}
	if got := w.State(id); got != "sending" {
		t.Errorf("it is %s", got)
	}
	if n := in.waiting(); n != 6 {
		t.Errorf("%d wait, want all 6", n)
	}
}

// A status that was stored in the same instant as its message's settlement is
// found later: neither transaction saw the other.
func TestStatusesThatCrossedTheirSettlementAreFound(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch, other := w.Channel(events.SMS), w.Channel(events.SMS)
	w.People(ch.ID, "p", 2)
	ids := w.Queue(ch.ID, "hello", "p1", "p2")
	o, in := own(t, w, ch.ID), inboundOf(t, w)
	res := o.must(o.turn(2, nil))
	o.must(o.turn(0, nil, o.ended(res, 0, store.AttemptSent, inbox.Sent), o.ended(res, 1, store.AttemptSent, inbox.Sent)))
	// As if they had been stored unseen: with keys that are nobody's, for now.
	in.reports(ch.ID, events.MessageKey{Chat: "x", Message: "1"}, events.Status{Name: events.Delivered})
	in.reports(ch.ID, events.MessageKey{Chat: "x", Message: "2"}, events.Status{Name: events.Read})
	w.Exec("UPDATE parley_updates SET provider_chat = $1, provider_message = $2, event = jsonb_set(event, '{key}', $3) WHERE provider_message = '1'",
		res.Heads[0].Lane, fmt.Sprint("p", res.Heads[0].ID, "-0-1"), fmt.Sprintf(`{"chat": %q, "message": "p%d-0-1"}`, res.Heads[0].Lane, res.Heads[0].ID))
	w.Exec("UPDATE parley_updates SET provider_chat = NULL, provider_message = NULL, event = jsonb_set(event, '{status,ref}', to_jsonb($1::text)) WHERE provider_message = '2'",
		res.Claims[1].Ref.String())
	if n, err := w.DB.ApplyMissed(t.Context(), []events.ChannelID{other.ID}, 100); n != 0 || err != nil {
		t.Errorf("on another channel %d, %v", n, err)
	}
	if n, err := w.DB.ApplyMissed(t.Context(), []events.ChannelID{ch.ID}, 100); n != 2 || err != nil {
		t.Errorf("missed %d, %v; want 2", n, err)
	}
	first, second := ids[0], ids[1]
	if res.Heads[0].ID != first {
		first, second = second, first
	}
	if w.State(first) != "delivered" || w.State(second) != "read" || in.waiting() != 0 {
		t.Errorf("%s and %s, %d wait", w.State(first), w.State(second), in.waiting())
	}
	if n, err := w.DB.ApplyMissed(t.Context(), []events.ChannelID{ch.ID}, 100); n != 0 || err != nil {
		t.Errorf("again %d, %v", n, err)
	}
}

// A provider that still tries changes the words and nothing else, and what the
// person has is told without them.
func TestDelayedChangesOnlyTheWords(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 1)
	id := w.Queue(ch.ID, "hello", "p1")[0]
	o, in := own(t, w, ch.ID), inboundOf(t, w)
	res := o.must(o.turn(1, nil))
	o.must(o.turn(0, nil, o.ended(res, 0, store.AttemptSent, inbox.Sent)))
	key := events.MessageKey{Chat: "p1", Message: fmt.Sprint("p", id, "-0-1")}
	in.reports(ch.ID, key, events.Status{Name: events.Delayed, Code: "4.2.2", Words: "The mailbox is full."})
	var words, code string
	w.Row("SELECT coalesce(words, ''), coalesce(code, '') FROM parley_deliveries WHERE id = $1", []any{id}, &words, &code)
	if w.State(id) != "sent" || words != "The mailbox is full." || code != "4.2.2" {
		t.Errorf("%s: %s %q", w.State(id), code, words)
	}
	in.reports(ch.ID, key, events.Status{Name: events.Delivered})
	in.reports(ch.ID, key, events.Status{Name: events.Delayed, Words: "Too late."})
	w.Row("SELECT coalesce(words, '') FROM parley_deliveries WHERE id = $1", []any{id}, &words)
	if w.State(id) != "delivered" || words != "" || in.waiting() != 0 {
		t.Errorf("%s: %q, %d wait", w.State(id), words, in.waiting())
	}
	facts := w.Strings("SELECT verb FROM parley_facts WHERE noun = 'message' ORDER BY id")
	if fmt.Sprint(facts) != "[sent delayed delivered]" {
		t.Errorf("facts %v", facts)
	}
}
