package router_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/storetest"
)

// ours is a message that the business wrote to that client on its phone.
func (w *world) ours(client, message int, text string) events.Inbound {
	ev := w.text(client, message, text)
	ev.Ours = true
	return ev
}

// again is the same event, accepted anew.
func again(ev events.Inbound) events.Inbound {
	ev.ID = store.NewEventID()
	return ev
}

func TestWhatTheBusinessWroteElsewhereIsOutbound(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.publish(w.text(1, 1, "are you open?"), w.ours(1, 2, "until six"), w.text(1, 3, "thanks"), w.ours(2, 1, "your cake is ready"))
	w.route()
	w.drained()
	w.publish(again(w.ours(1, 2, "until six")), again(w.ours(2, 1, "your cake is ready")), w.text(2, 2, "coming"))
	got := totals(w.drained())
	if got.Persisted != 5 || got.Duplicate != 2 {
		t.Fatalf("persisted %d, duplicates %d", got.Persisted, got.Duplicate)
	}
	for _, chat := range w.chats(w.tenant) {
		name := chat.Client.FirstName
		want := "in are you open?, out until six, in thanks"
		unread := int64(2)
		if name == "Client 2" {
			want, unread = "out your cake is ready, in coming", 1
		}
		var have []string
		for _, m := range w.messages(w.tenant, chat.ID) {
			have = append(have, string(m.Direction)+" "+m.Text)
			if m.SentAt == nil || m.Delivery != nil {
				t.Errorf("%q: sent at %v, delivery %+v", m.Text, m.SentAt, m.Delivery)
			}
			sender := name
			if m.Direction == inbox.Out {
				sender = "Bakery"
			}
			if m.Sender != sender || m.RoutedBy == "" {
				t.Errorf("%q is from %q, routed by %q", m.Text, m.Sender, m.RoutedBy)
			}
		}
		if strings.Join(have, ", ") != want || int64(chat.Unread) != unread {
			t.Errorf("chat of %s: %q, %d unread", name, have, chat.Unread)
		}
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_deliveries`); n != 0 {
		t.Errorf("%d deliveries", n)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM core_users`); n != 1 {
		t.Errorf("%d users speak for one channel", n)
	}
	w.audit()
}

// Facts of one chat come in the order of its messages, and say who sent.
func TestFactsOfWhatTheBusinessWroteElsewhere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	lease, err := w.db.TakePartition(w.ctx, "one", patience)
	if err != nil {
		t.Fatal(err)
	}
	list := []events.Inbound{w.text(1, 1, "a"), w.ours(1, 2, "b"), w.ours(1, 3, "c"), w.text(1, 4, "d")}
	batch := make([]store.InboundRecord, len(list))
	for i := range list {
		batch[i] = store.InboundRecord{Seq: lease.LastSeq + uint64(i) + 1, Event: &list[i]}
	}
	if _, err := w.db.StoreBatch(w.ctx, lease, batch); err != nil {
		t.Fatal(err)
	}
	facts, err := w.db.Facts(w.ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, f := range facts.Facts {
		if f.Noun != "message" {
			continue
		}
		var data struct{ Text, Origin string }
		if err := json.Unmarshal(f.Data, &data); err != nil {
			t.Fatal(err)
		}
		have = append(have, fmt.Sprint(f.Verb, " ", data.Text, " ", data.Origin))
	}
	if got := strings.Join(have, "|"); got != "received a |sent b elsewhere|sent c elsewhere|received d " {
		t.Errorf("facts %q", got)
	}
}

func TestWhatParleySentItselfComesBackOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.publish(w.text(1, 1, "hello"))
	w.route()
	w.drained()
	chat := w.chats(w.tenant)[0]
	user, err := w.db.EnsureOperator(w.ctx, w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	m, err := w.db.Reply(w.ctx, store.Reply{Tenant: w.tenant, Chat: chat.ID, Text: "hi", User: user.ID, Seen: 1})
	if err != nil {
		t.Fatal(err)
	}
	storetest.Exec(t, w.url, `
		INSERT INTO parley_attempts (delivery_id, part, attempt, tenant_id, channel_id, ref, epoch, outcome, provider_chat, provider_id)
		SELECT id, 0, 1, tenant_id, channel_id, gen_random_uuid(), 1, 'sent', '1', '2' FROM parley_deliveries`)
	w.publish(w.ours(1, 2, "hi"))
	w.drained()
	edit := w.ours(1, 2, "hi there")
	edit.Kind, edit.ProviderEvent = events.Edit, "edit"
	w.publish(again(w.ours(1, 2, "hi")), edit)
	got := totals(w.drained())
	if got.Persisted != 2 || got.Duplicate != 2 {
		t.Errorf("persisted %d, duplicates %d", got.Persisted, got.Duplicate)
	}
	ms := w.messages(w.tenant, chat.ID)
	if len(ms) != 2 || ms[1].ID != m.ID || ms[1].Text != "hi there" {
		t.Errorf("messages %+v", ms)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_copies`); n != 1 {
		t.Errorf("%d copies", n)
	}
	w.audit()
}

// Two partitions meet the same channel's user for the first time at once.
func TestTwoPartitionsSpeakForOneChannel(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	var wg sync.WaitGroup
	for p := range 2 {
		lease, err := w.db.TakePartition(w.ctx, fmt.Sprint("router ", p), patience)
		if err != nil || lease == nil {
			t.Fatal(lease, err)
		}
		var batch []store.InboundRecord
		for i := range 50 {
			ev := w.ours(100*p+i, i, "hello")
			batch = append(batch, store.InboundRecord{Seq: lease.LastSeq + uint64(i) + 1, Event: &ev})
		}
		wg.Go(func() {
			if res, err := w.db.StoreBatch(w.ctx, lease, batch); err != nil || res.Count(store.Persisted) != 50 {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
	wg.Wait()
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM core_users`); n != 1 {
		t.Errorf("%d users speak for one channel", n)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_chat_messages m JOIN crm_chat_members s ON s.id = m.sender_id WHERE s.user_id IS NOT NULL AND m.direction = 'out'`); n != 100 {
		t.Errorf("%d messages from the business", n)
	}
}

func TestBlockedClientsAreStillWrittenTo(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.publish(w.text(1, 1, "hello"))
	w.route()
	w.drained()
	storetest.Exec(t, w.url, `UPDATE crm_clients SET blocked_at = now()`)
	w.publish(w.ours(1, 2, "please stop"), w.text(1, 3, "no"))
	if got := totals(w.drained()); got.Persisted != 2 || got.Ignored != 1 {
		t.Errorf("persisted %d, ignored %d", got.Persisted, got.Ignored)
	}
	w.audit()
}
