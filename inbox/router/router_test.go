package router_test

import (
	"fmt"
	"testing"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/storetest"
)

func TestMessagesOfOnePersonAreOneChatInOrder(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for i := range 5 {
		w.publish(w.text(1, i, fmt.Sprint("one ", i)), w.text(2, i, fmt.Sprint("two ", i)))
	}
	w.route()
	if got := totals(w.drained()); got.Persisted != 10 || got.Gap() != 0 {
		t.Errorf("persisted %d, gap %d", got.Persisted, got.Gap())
	}
	chats := w.chats(w.tenant)
	if len(chats) != 2 {
		t.Fatalf("%d chats, want 2: %+v", len(chats), chats)
	}
	for _, c := range chats {
		ms := w.messages(w.tenant, c.ID)
		if len(ms) != 5 {
			t.Fatalf("%d messages, want 5", len(ms))
		}
		for i, m := range ms {
			if m.Seq != int64(i+1) || m.Direction != inbox.In || m.SentAt == nil || m.Text[len(m.Text)-1:] != fmt.Sprint(i) {
				t.Errorf("message %d of chat %d: %+v", i, c.ID, m)
			}
			want := "member"
			if i == 0 {
				want = "new"
			}
			if m.RoutedBy != want {
				t.Errorf("message %d routed by %q, want %q", i, m.RoutedBy, want)
			}
		}
		if c.LastMessageAt == nil || !c.LastMessageAt.Equal(ms[4].CreatedAt) || c.LastSeq != 5 || c.Unread != 5 {
			t.Errorf("chat %+v, last message %v", c, ms[4].CreatedAt)
		}
	}
	w.audit()
}

func TestCopiesAreOneMessage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ev := w.text(7, 1, "hello")
	w.publish(ev, ev)
	w.route()
	w.drained()
	again := ev
	again.ID = w.text(7, 1, "").ID // a retry is accepted anew
	w.publish(again, w.text(7, 2, "next"))
	got := totals(w.drained())
	if got.Persisted != 2 || got.Duplicate != 2 {
		t.Errorf("persisted %d, duplicates %d", got.Persisted, got.Duplicate)
	}
	w.audit()
}

func TestOnePersonOnTwoChannelsIsOneClient(t *testing.T) {
	t.Parallel()
	w := setup(t)
	second := *w
	second.channel = w.secondChannel()
	w.publish(w.text(3, 1, "here"), second.text(3, 1, "and there"))
	w.route()
	w.drained()
	chats := w.chats(w.tenant)
	if len(chats) != 1 || chats[0].LastSeq != 2 {
		t.Fatalf("chats: %+v", chats)
	}
	w.audit()
}

func TestPoisonIsAloneInQuarantine(t *testing.T) {
	t.Parallel()
	w := setup(t)
	tooLong := w.text(4, 2, "my surname is too long for a client")
	tooLong.Person.Identity = events.Identity{Kind: events.EmailAddress, Value: longAddress()}
	nobody := w.text(4, 3, "who am I")
	nobody.Person = events.Person{}
	stray := w.text(4, 4, "from elsewhere")
	stray.Channel = "00000000-0000-4000-8000-000000000000"
	nul := w.text(4, 5, "a\x00b")
	unkeyed := w.text(4, 6, "no id")
	unkeyed.Key.Message = ""
	longKey := w.text(4, 7, "an id no index holds")
	longKey.Key.Message = longAddress() + longAddress() + longAddress()
	for i := range 10 {
		w.publish(w.text(4, 10+i, "before"))
	}
	w.publish(tooLong, nobody, stray, nul, unkeyed, longKey)
	for i := range 10 {
		w.publish(w.text(4, 30+i, "after"))
	}
	w.route()
	got := totals(w.drained())
	if got.Persisted != 21 || got.Quarantined != 5 || got.Gap() != 0 {
		t.Errorf("persisted %d, quarantined %d, gap %d", got.Persisted, got.Quarantined, got.Gap())
	}
	list, err := w.db.QuarantineList(w.ctx, store.QuarantineScope{Whole: true}, store.QuarantinePage{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 5 {
		t.Fatalf("%d in quarantine: %+v", len(list), list)
	}
	for _, q := range list {
		if q.Reason == "" {
			t.Errorf("no reason: %+v", q)
		}
	}
	chats := w.chats(w.tenant)
	if len(chats) != 1 {
		t.Fatalf("chats: %+v", chats)
	}
	var replaced bool
	for _, m := range w.messages(w.tenant, chats[0].ID) {
		replaced = replaced || m.Text == "a\uFFFDb"
	}
	if !replaced {
		t.Error("the message with a NUL is not there")
	}
	w.audit()
}

func TestReplayStoresWhatWasQuarantined(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ev := w.text(9, 1, "too early")
	tenant, channel := ev.Tenant, ev.Channel
	ev.Content = nil // what an older adapter may have made of it
	w.publish(ev)
	r, _ := w.route(withReparse(func(old *events.Inbound) []events.Inbound {
		fixed := w.text(9, 1, "understood now")
		fixed.Tenant, fixed.Channel = tenant, channel
		return []events.Inbound{fixed}
	}))
	w.drained()
	w.publish(w.text(9, 2, "later"))
	w.drained()
	list, err := w.db.QuarantineList(w.ctx, store.QuarantineScope{Whole: true}, store.QuarantinePage{Limit: 10})
	if err != nil || len(list) != 1 {
		t.Fatalf("quarantine %+v, %v", list, err)
	}
	clients := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients`)
	messages := storetest.Int(t, w.url, `SELECT count(*) FROM crm_chat_messages`)
	chat := w.chats(w.tenant)[0].ID
	for i, want := range []string{"persisted", "duplicate"} {
		scope := []store.QuarantineScope{{Tenant: tenant}, {Whole: true}}[i] // the tenant's, then the operator's
		p, err := r.Preview(w.ctx, scope, list[0].ID)
		if err != nil || p.Refused != "" || len(p.Events) != 1 {
			t.Fatalf("preview %d: %+v, %v", i, p, err)
		}
		if e := p.Events[0]; string(e.Outcome) != want || e.Text != "understood now" || e.Chat != chat || e.Client == 0 || e.NewClient || (e.Message != 0) != (i == 1) {
			t.Errorf("preview %d: %+v", i, e)
		}
		if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_chat_messages`); n != messages+int64(i) {
			t.Errorf("%d messages after a preview, want %d", n, messages+int64(i))
		}
		res, err := r.Replay(w.ctx, scope, list[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Outcomes) != 1 || string(res.Outcomes[0]) != want {
			t.Errorf("replay %d: %v, want %s", i, res.Outcomes, want)
		}
	}
	ms := w.messages(w.tenant, w.chats(w.tenant)[0].ID)
	if len(ms) != 2 || ms[1].Text != "understood now" || !ms[1].Late || !ms[1].CreatedAt.Before(ms[0].CreatedAt) {
		t.Errorf("messages %+v", ms)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients`); n != clients {
		t.Errorf("%d clients, want %d", n, clients)
	}
	if left, _ := w.db.QuarantineList(w.ctx, store.QuarantineScope{Whole: true}, store.QuarantinePage{Limit: 10}); len(left) != 0 {
		t.Errorf("still waiting: %+v", left)
	}
	w.audit()
}

func TestIgnoredAndBlockedAreAccountedFor(t *testing.T) {
	t.Parallel()
	w := setup(t)
	group := w.text(11, 1, "")
	group.Kind, group.Reason, group.Content = events.Ignored, "group chats are off", nil
	w.publish(group, w.text(11, 2, "hello"))
	w.route()
	w.drained()
	client := w.chats(w.tenant)[0].Client.ID
	storetest.Exec(t, w.url, `UPDATE crm_clients SET blocked_at = now() WHERE id = $1`, client)
	w.publish(w.text(11, 3, "let me in"))
	got := totals(w.drained())
	if got.Persisted != 1 || got.Ignored != 2 {
		t.Errorf("persisted %d, ignored %d", got.Persisted, got.Ignored)
	}
	w.audit()
}

func TestEditBeforeAndAfterItsMessage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	edit := func(message int, text, update string) events.Inbound {
		ev := w.text(12, message, text)
		ev.Kind, ev.ProviderEvent = events.Edit, update
		return ev
	}
	w.publish(w.text(12, 1, "frist"))
	w.route()
	w.drained()
	w.publish(edit(1, "first", "u1"), edit(1, "first", "u1"), edit(2, "second, edited", "u2"))
	w.drained()
	w.publish(w.text(12, 2, "secnod"))
	got := totals(w.drained())
	if got.Persisted != 4 || got.Duplicate != 1 {
		t.Errorf("persisted %d, duplicates %d", got.Persisted, got.Duplicate)
	}
	ms := w.messages(w.tenant, w.chats(w.tenant)[0].ID)
	if len(ms) != 2 || ms[0].Text != "first" || ms[1].Text != "second, edited" || ms[0].EditedAt == nil || ms[1].EditedAt == nil {
		t.Errorf("messages %+v", ms)
	}
	w.audit()
}
