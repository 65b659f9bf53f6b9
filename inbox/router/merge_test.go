package router_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/storetest"
)

var byAnn = inbox.Actor{Kind: inbox.Operator, Name: "Ann"}

// clientOf is the client and the chat of an identity.
func (w *world) clientOf(value string) (client, chat int64) {
	w.t.Helper()
	client = storetest.Int(w.t, w.url, `SELECT client_id FROM parley_identities WHERE tenant_id = $1 AND value = $2`, string(w.tenant), value)
	return client, storetest.Int(w.t, w.url, `SELECT id FROM crm_chats WHERE client_id = $1`, client)
}

// texts are a chat's messages in order.
func (w *world) texts(chat int64) string {
	w.t.Helper()
	var list []string
	last := int64(0)
	for _, m := range w.messages(w.tenant, chat) {
		if m.Seq <= last {
			w.t.Errorf("seq %d follows %d", m.Seq, last)
		}
		last = m.Seq
		list = append(list, m.Text)
	}
	return strings.Join(list, ", ")
}

func (w *world) seqs(chat int64) (list []int64) {
	for _, m := range w.messages(w.tenant, chat) {
		list = append(list, m.Seq)
	}
	return list
}

// at makes an event accepted so many minutes after ten.
func at(minute int, ev events.Inbound) events.Inbound {
	ev.AcceptedAt = time.Date(2026, 1, 2, 10, minute, 0, 0, time.UTC)
	return ev
}

func (w *world) answer(chat int64, text string) {
	w.t.Helper()
	user, err := w.db.EnsureOperator(w.ctx, w.tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.db.Reply(w.ctx, store.Reply{Tenant: w.tenant, Chat: chat, Text: text, User: user.ID, Force: true}); err != nil {
		w.t.Fatal(err)
	}
}

func TestMergeMovesEverythingAndBack(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	w.store(at(1, w.text(1, 1, "a1")), at(2, w.text(2, 1, "b1")), at(3, w.text(1, 2, "a2")), at(4, w.text(2, 2, "b2")))
	a, chatA := w.clientOf("1")
	b, chatB := w.clientOf("2")
	w.answer(chatA, "a3")
	w.answer(chatB, "b3")
	storetest.Exec(t, w.url, `UPDATE crm_clients SET phone_number = '+4930111', email = 'b@example.com' WHERE id = $1`, b)
	before := w.seqs(chatB)

	m, err := w.db.MergeClients(w.ctx, w.tenant, byAnn, a, b)
	if err != nil {
		t.Fatal(err)
	}
	if m.Messages != 3 || m.Identities != 1 || m.Chat != chatA || m.FromChat != chatB {
		t.Errorf("%+v", m)
	}
	again, err := w.db.MergeClients(w.ctx, w.tenant, byAnn, a, b)
	if err != nil || again.ID != m.ID || again.Messages != 3 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if have := w.texts(chatA); have != "a1, b1, a2, b2, a3, b3" {
		t.Error(have)
	}
	// No seq means another message than it did.
	if seqs := w.seqs(chatA); seqs[0] != 1 || seqs[1] <= 3 {
		t.Error(seqs)
	}
	if len(w.chats(w.tenant)) != 1 || len(w.messages(w.tenant, chatB)) != 0 {
		t.Error("the empty chat is listed, or not empty")
	}
	user, _ := w.db.EnsureOperator(w.ctx, w.tenant)
	_, err = w.db.Reply(w.ctx, store.Reply{Tenant: w.tenant, Chat: chatB, Text: "x", User: user.ID, Force: true})
	if inbox.CodeOf(err) != inbox.Conflict || !strings.Contains(err.Error(), fmt.Sprint("chat ", chatA)) {
		t.Error(err)
	}
	if _, err := w.db.MergeClients(w.ctx, w.tenant, byAnn, b, a); inbox.CodeOf(err) != inbox.Conflict {
		t.Error(err)
	}

	// Both write on, in one chat, also from the number that only a colleague knew.
	w.store(w.text(1, 3, "a4"), w.text(2, 3, "b4"), w.sms("+4930111", "b5"))
	if have := w.texts(chatA); have != "a1, b1, a2, b2, a3, b3, a4, b4, b5" {
		t.Error(have)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients`); n != 2 {
		t.Errorf("%d clients", n)
	}

	u, err := w.db.UnmergeClients(w.ctx, w.tenant, byAnn, b)
	if err != nil {
		t.Fatal(err)
	}
	if u.ID != m.ID || u.UndoneAt == nil || u.Messages != 5 {
		t.Errorf("%+v", u)
	}
	w.store(w.text(2, 4, "b6"), w.text(1, 4, "a5"))
	if have := w.texts(chatB); have != "b1, b2, b3, b4, b5, b6" {
		t.Error(have)
	}
	if have := w.seqs(chatB); !slices.Equal(have[:3], before) {
		t.Errorf("seqs are %d, were %d", have, before)
	}
	if have := w.texts(chatA); have != "a1, a2, a3, a4, a5" {
		t.Error(have)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients WHERE id = $1 AND phone_number = '+4930111' AND email = 'b@example.com' AND merged_into IS NULL`, b); n != 1 {
		t.Error("b has not got its number back")
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients WHERE id = $1 AND phone_number IS NULL AND email IS NULL`, a); n != 1 {
		t.Error("a keeps b's number")
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_chats h WHERE last_seq = (SELECT max(seq) FROM crm_chat_messages WHERE chat_id = h.id)
		AND last_message_at = (SELECT max(created_at) FROM crm_chat_messages WHERE chat_id = h.id)`); n != 2 {
		t.Error("a chat's last message is not its last")
	}
	if _, err := w.db.UnmergeClients(w.ctx, w.tenant, byAnn, b); inbox.CodeOf(err) != inbox.Conflict {
		t.Error(err)
	}
	log, err := w.db.AuditLog(w.ctx, w.tenant, 0, 10)
	if err != nil || len(log) != 2 || log[0].Action != "client.unmerge" || log[1].Action != "client.merge" {
		t.Errorf("%+v, %v", log, err)
	}
}

// A merge of what was merged is taken back in the other order.
func TestMergesOfMergesNest(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	w.store(at(1, w.text(1, 1, "a")), at(2, w.text(2, 1, "b")), at(3, w.text(3, 1, "c")))
	a, _ := w.clientOf("1")
	b, chatB := w.clientOf("2")
	c, chatC := w.clientOf("3")
	for _, pair := range [][2]int64{{b, a}, {c, b}} {
		if _, err := w.db.MergeClients(w.ctx, w.tenant, byAnn, pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	w.store(w.text(1, 2, "a2"))
	if have := w.texts(chatC); have != "a, b, c, a2" {
		t.Error(have)
	}
	if _, err := w.db.UnmergeClients(w.ctx, w.tenant, byAnn, a); inbox.CodeOf(err) != inbox.Conflict {
		t.Error(err)
	}
	for _, client := range []int64{b, a} {
		if _, err := w.db.UnmergeClients(w.ctx, w.tenant, byAnn, client); err != nil {
			t.Fatal(err)
		}
	}
	_, chatA := w.clientOf("1")
	if one, two, three := w.texts(chatA), w.texts(chatB), w.texts(chatC); one != "a, a2" || two != "b" || three != "c" {
		t.Error(one, "/", two, "/", three)
	}
}

// Messages of both, by the bus, while they are merged and taken apart.
func TestNothingIsLostWhileClientsMerge(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.publish(w.text(1, 0, "first"), w.text(2, 0, "first"))
	second := *w
	second.channel = w.secondChannel()
	w.route()
	w.drained()
	a, _ := w.clientOf("1")
	b, _ := w.clientOf("2")
	// Each round's messages are stored while the two are merged and unmerged.
	const each = 60
	for i := 1; i <= each; i++ {
		var wg sync.WaitGroup
		for client := 1; client <= 2; client++ {
			wg.Go(func() {
				evs := []events.Inbound{w.text(client, i, fmt.Sprint(client, "-", i))}
				if i%20 == 0 { // known by identity, new on that channel
					evs = append(evs, second.text(client, 1000+i, fmt.Sprint(client, "-second-", i)))
				}
				if err := w.bus.Publish(w.ctx, evs...); err != nil {
					t.Error(err)
				}
			})
		}
		if _, err := w.db.MergeClients(w.ctx, w.tenant, byAnn, a, b); err != nil {
			t.Fatal(err)
		}
		if _, err := w.db.UnmergeClients(w.ctx, w.tenant, byAnn, b); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
	}
	w.drained()
	if _, err := w.db.MergeClients(w.ctx, w.tenant, byAnn, a, b); err != nil {
		t.Fatal(err)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients`); n != 2 {
		t.Errorf("%d clients", n)
	}
	_, chat := w.clientOf("1")
	want := int64(2 + 2*each + 2*each/20)
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_chat_messages WHERE chat_id = $1`, chat); n != want {
		t.Errorf("%d messages, want %d", n, want)
	}
	if why := storetest.Text(t, w.url, `SELECT coalesce(string_agg(reason, '; '), '') FROM parley_quarantine`); why != "" {
		t.Errorf("in quarantine: %s", why)
	}
	// Each person's own order, by the number in the message's key.
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM (SELECT provider_message::int AS n,
		lag(provider_message::int) OVER (PARTITION BY channel_id, provider_chat ORDER BY seq) AS before FROM crm_chat_messages) o WHERE n < before`); n != 0 {
		t.Errorf("%d messages are before an earlier one", n)
	}
	w.audit()
}
