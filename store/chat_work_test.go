package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// listed are the ids of the chats that a filter lists.
func (w *deskWorld) listed(f store.ChatFilter) []int64 {
	w.t.Helper()
	chats, next, err := w.db.Chats(w.t.Context(), w.tenant, store.ChatPage{ChatFilter: f})
	if err != nil || next != "" {
		w.t.Fatal(next, err)
	}
	ids := []int64{}
	for _, c := range chats {
		ids = append(ids, c.ID)
	}
	return ids
}

func (w *deskWorld) wantListed(f store.ChatFilter, want ...int64) {
	w.t.Helper()
	if got := w.listed(f); !slices.Equal(got, want) {
		w.t.Errorf("%+v lists %v, want %v", f, got, want)
	}
}

func (w *deskWorld) status(chat int64, s store.SetStatus) inbox.Chat {
	w.t.Helper()
	c, err := w.db.SetChatStatus(w.t.Context(), w.tenant, byOperator, chat, s)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *deskWorld) facts(verb string) int64 {
	w.t.Helper()
	return w.int(`SELECT count(*) FROM parley_facts WHERE noun || '.' || verb = $1`, verb)
}

func TestAClientsMessageOpensTheirChat(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	one, two := w.says(1, "one"), w.says(2, "two")
	if c := w.status(one, store.SetStatus{Status: inbox.ChatClosed, Seen: 1}); c.Status != inbox.ChatClosed || c.ID != one {
		t.Errorf("closed: %+v", c)
	}
	until := time.Now().Add(time.Hour)
	if c := w.status(two, store.SetStatus{Status: inbox.ChatSnoozed, Until: until}); c.SnoozedUntil == nil || c.SnoozedUntil.Sub(until).Abs() > time.Second {
		t.Errorf("snoozed: %+v", c)
	}
	w.status(one, store.SetStatus{Status: inbox.ChatClosed}) // again tells nothing
	if c, s := w.facts("chat.closed"), w.facts("chat.snoozed"); c != 1 || s != 1 {
		t.Errorf("%d and %d facts", c, s)
	}
	w.wantListed(store.ChatFilter{}, two, one)
	w.wantListed(store.ChatFilter{Status: inbox.ChatOpen})
	w.wantListed(store.ChatFilter{Status: inbox.ChatClosed}, one)
	w.wantListed(store.ChatFilter{Status: inbox.ChatSnoozed}, two)

	// An agent's reply leaves it closed.
	w.mustReply(w.reply(one, "Anything else?"))
	w.wantListed(store.ChatFilter{Status: inbox.ChatClosed}, one)
	w.says(1, "yes")
	w.says(2, "hello?")
	w.wantListed(store.ChatFilter{Status: inbox.ChatOpen}, two, one)
	if n := w.facts("chat.opened"); n != 2 {
		t.Errorf("%d facts tell of it", n)
	}
	if n := w.int(`SELECT reopened_seq FROM crm_chats WHERE id = $1`, one); n != 3 {
		t.Errorf("opened again by %d, want 3", n)
	}
	// It tells before the message that did so.
	if n := w.int(`SELECT count(*) FROM parley_facts o WHERE verb = 'opened' AND id > (SELECT max(id) FROM parley_facts m WHERE m.verb = 'received')`); n != 0 {
		t.Errorf("%d facts come after the message", n)
	}
	w.says(1, "and more") // of an open one nothing is told
	if n := w.facts("chat.opened"); n != 2 {
		t.Errorf("%d facts tell of it", n)
	}
	if n := w.int(`SELECT count(*) FROM parley_audit_log WHERE action = 'chat.closed' AND target_id = $1`, fmt.Sprint(one)); n != 1 {
		t.Errorf("%d entries in the audit log", n)
	}

	// Nobody closes what they have not seen.
	_, err := w.db.SetChatStatus(t.Context(), w.tenant, byOperator, one, store.SetStatus{Status: inbox.ChatClosed, Seen: 3})
	wantCode(t, err, inbox.Stale)
	for _, s := range []store.SetStatus{
		{Status: "lost"},
		{Status: inbox.ChatSnoozed},
		{Status: inbox.ChatOpen, Until: until},
		{Status: inbox.ChatSnoozed, Until: time.Now().Add(-time.Second)},
		{Status: inbox.ChatSnoozed, Until: time.Now().Add(2 * store.MaxSnooze)},
	} {
		_, err := w.db.SetChatStatus(t.Context(), w.tenant, byOperator, one, s)
		wantCode(t, err, inbox.Invalid)
	}
}

func TestSnoozeEnds(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	one, two := w.says(1, "one"), w.says(2, "two")
	for _, chat := range []int64{one, two} {
		w.status(chat, store.SetStatus{Status: inbox.ChatSnoozed, Until: time.Now().Add(time.Hour)})
	}
	w.exec(`UPDATE crm_chats SET snoozed_until = now() - interval '1 second' WHERE id = $1`, one)
	if n, err := w.db.WakeChats(t.Context(), 10); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if n, err := w.db.WakeChats(t.Context(), 10); err != nil || n != 0 {
		t.Fatal(n, err)
	}
	w.wantListed(store.ChatFilter{Status: inbox.ChatOpen}, one)
	w.wantListed(store.ChatFilter{Status: inbox.ChatSnoozed}, two)
	if n := w.facts("chat.opened"); n != 1 {
		t.Errorf("%d facts tell of it", n)
	}
}

func TestAssignment(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	one, two := w.says(1, "one"), w.says(2, "two")
	ann, err := w.db.AddAccount(t.Context(), w.tenant, byOperator, store.NewAccount{Name: "Ann", Role: inbox.Agent})
	if err != nil {
		t.Fatal(err)
	}
	team, err := w.db.AddTeam(t.Context(), w.tenant, byOperator, " Sales ", []int64{ann.ID, ann.ID}, "k")
	if err != nil || team.Name != "Sales" || len(team.Members) != 1 || team.Members[0].Name != "Ann" {
		t.Fatal(team, err)
	}
	again, err := w.db.AddTeam(t.Context(), w.tenant, byOperator, "Sales", nil, "k")
	if err != nil || again.ID != team.ID {
		t.Fatal(again, err)
	}
	_, err = w.db.AddTeam(t.Context(), w.tenant, byOperator, "sales", nil, "")
	wantCode(t, err, inbox.Conflict)
	_, err = w.db.AddTeam(t.Context(), w.tenant, byOperator, "Other", nil, "k")
	wantCode(t, err, inbox.Conflict)
	_, err = w.db.AddTeam(t.Context(), w.tenant, byOperator, " ", nil, "")
	wantCode(t, err, inbox.Invalid)
	_, err = w.db.ChangeTeam(t.Context(), w.tenant, byOperator, team.ID, store.TeamChange{Members: &[]int64{4711}})
	wantCode(t, err, inbox.NotFound)

	assign := func(chat int64, a store.Assignment) (inbox.Chat, error) {
		return w.db.AssignChat(t.Context(), w.tenant, byOperator, chat, a)
	}
	c, err := assign(one, store.Assignment{User: ann.ID, Free: true})
	if err != nil || c.Assignee == nil || c.Assignee.Name != "Ann" || c.Team != nil {
		t.Fatal(c, err)
	}
	if _, err := assign(two, store.Assignment{Team: team.ID}); err != nil {
		t.Fatal(err)
	}
	w.wantListed(store.ChatFilter{Assignee: ann.ID}, one)
	w.wantListed(store.ChatFilter{Team: team.ID, Unread: true}, two)
	w.wantListed(store.ChatFilter{Unassigned: true})
	_, err = assign(one, store.Assignment{User: w.operator, Free: true})
	if e := errorOf(t, err, inbox.Conflict); e.Detail.(*inbox.Named).ID != ann.ID {
		t.Errorf("detail is %v", e.Detail)
	}
	for _, a := range []store.Assignment{{User: 4711}, {Team: 4711}} {
		_, err = assign(one, a)
		wantCode(t, err, inbox.NotFound)
	}
	counts, err := w.db.ChatCounts(t.Context(), w.tenant, ann.ID)
	if err != nil {
		t.Fatal(err)
	}
	if counts.Open != (inbox.ChatCount{Chats: 2, Unread: 2}) || counts.Mine != (inbox.ChatCount{Chats: 1, Unread: 1}) ||
		counts.Unassigned != (inbox.ChatCount{}) || len(counts.Teams) != 1 || counts.Teams[0].Chats != 1 || counts.Teams[0].Team.Name != "Sales" {
		t.Errorf("counts are %+v", counts)
	}
	// A colleague who leaves and a team that is dissolved leave their chats to all.
	w.exec(`DELETE FROM core_users WHERE id = $1`, ann.ID)
	if err := w.db.DeleteTeam(t.Context(), w.tenant, byOperator, team.ID); err != nil {
		t.Fatal(err)
	}
	w.wantListed(store.ChatFilter{Unassigned: true}, two, one)
	if n := w.facts("chat.assigned"); n != 2 {
		t.Errorf("%d facts", n)
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	one, two := w.says(1, "one"), w.says(2, "two")
	urgent, err := w.db.AddLabel(t.Context(), w.tenant, byOperator, "urgent", "#FF0000", "")
	if err != nil || urgent.Colour != "#ff0000" {
		t.Fatal(urgent, err)
	}
	shown := urgent
	shown.Version = 0 // of the label itself only
	for range 2 {
		c, err := w.db.LabelChat(t.Context(), w.tenant, byOperator, one, urgent.ID, true)
		if err != nil || len(c.Labels) != 1 || c.Labels[0] != shown {
			t.Fatal(c, err)
		}
	}
	w.wantListed(store.ChatFilter{Label: urgent.ID}, one)
	w.wantListed(store.ChatFilter{Label: urgent.ID, Transport: events.Telegram}, one)
	w.wantListed(store.ChatFilter{Transport: events.SMS})
	w.wantListed(store.ChatFilter{Transport: events.Telegram}, two, one)
	if n := w.facts("chat.labelled"); n != 1 {
		t.Errorf("%d facts", n)
	}
	if _, err := w.db.LabelChat(t.Context(), w.tenant, byOperator, one, urgent.ID, false); err != nil {
		t.Fatal(err)
	}
	w.wantListed(store.ChatFilter{Label: urgent.ID})
	_, err = w.db.ChangeLabel(t.Context(), w.tenant, byOperator, urgent.ID, nil, new("red"), 0)
	wantCode(t, err, inbox.Invalid)
	if l, err := w.db.ChangeLabel(t.Context(), w.tenant, byOperator, urgent.ID, new("Now"), nil, 0); err != nil || l.Name != "Now" {
		t.Error(l, err)
	}
	if err := w.db.DeleteLabel(t.Context(), w.tenant, byOperator, urgent.ID); err != nil {
		t.Error(err)
	}
	_, err = w.db.LabelChat(t.Context(), w.tenant, byOperator, one, urgent.ID, true)
	wantCode(t, err, inbox.NotFound)
}

// Where there are many chats with a label or of a transport, the list is walked
// instead.
func TestManyLabelledChats(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	first := w.says(1, "one")
	label, err := w.db.AddLabel(t.Context(), w.tenant, byOperator, "all", "", "")
	if err != nil {
		t.Fatal(err)
	}
	w.exec(`WITH cl AS (INSERT INTO crm_clients (tenant_id, first_name) SELECT $1, 'C' || i FROM generate_series(1, 2500) i RETURNING id),
		c AS (INSERT INTO crm_chats (tenant_id, client_id, last_message_at) SELECT $1, id, now() - id * interval '1 minute' FROM cl RETURNING id)
		INSERT INTO parley_chat_labels (tenant_id, chat_id, label_id) SELECT $1, id, $2 FROM c`, string(w.tenant), label.ID)
	page := store.ChatPage{Limit: 200, ChatFilter: store.ChatFilter{Label: label.ID}}
	seen := map[int64]bool{}
	for {
		chats, next, err := w.db.Chats(t.Context(), w.tenant, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range chats {
			seen[c.ID] = true
		}
		if page.Cursor = next; next == "" {
			break
		}
	}
	if len(seen) != 2500 || seen[first] {
		t.Errorf("%d chats", len(seen))
	}
}

func TestUnread(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "one")
	w.says(1, "two")
	w.says(1, "three")
	unread := func(messages int64) {
		t.Helper()
		c := w.chat(chat)
		if c.Unread != messages {
			t.Errorf("%d are unread, want %d", c.Unread, messages)
		}
		if listed := len(w.listed(store.ChatFilter{Unread: true})) == 1; listed != (messages > 0) {
			t.Errorf("with %d unread: listed %v", messages, listed)
		}
	}
	unread(3)
	if _, err := w.db.MarkRead(t.Context(), w.tenant, chat, 2); err != nil {
		t.Fatal(err)
	}
	unread(1)
	if _, err := w.db.MarkRead(t.Context(), w.tenant, chat, 9); err != nil {
		t.Fatal(err)
	}
	unread(0)
	for want := range int64(2) {
		if n, err := w.db.MarkUnread(t.Context(), w.tenant, chat, 2); err != nil || n != 2-2*want {
			t.Fatal(n, err)
		}
		unread(2)
	}
	// Another program that knows only the data model.
	w.exec(`UPDATE crm_chat_messages SET read_at = now() WHERE chat_id = $1`, chat)
	unread(0)
	w.exec(`UPDATE crm_chat_messages SET read_at = NULL WHERE chat_id = $1 AND seq = 1`, chat)
	unread(1)
	w.exec(`DELETE FROM crm_chat_messages WHERE chat_id = $1 AND seq = 1`, chat)
	if _, err := w.db.MarkRead(t.Context(), w.tenant, chat, 9); err != nil {
		t.Fatal(err)
	}
	unread(0)
}

func TestNotes(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "one")
	n, err := w.db.AddNote(t.Context(), w.tenant, byOperator, chat, w.operator, "Pays late.", "k")
	if err != nil || n.AfterSeq != 1 || n.User.ID != w.operator {
		t.Fatal(n, err)
	}
	if again, err := w.db.AddNote(t.Context(), w.tenant, byOperator, chat, w.operator, "Pays late.", "k"); err != nil || again.ID != n.ID {
		t.Error(again, err)
	}
	_, err = w.db.AddNote(t.Context(), w.tenant, byOperator, chat, w.operator, "Other", "k")
	wantCode(t, err, inbox.Conflict)
	_, err = w.db.AddNote(t.Context(), w.tenant, byOperator, chat, w.operator, " \n", "")
	wantCode(t, err, inbox.Invalid)
	_, err = w.db.ChangeNote(t.Context(), w.tenant, byOperator, n.ID, w.operator+1, false, new("Mine"), 0)
	wantCode(t, err, inbox.Forbidden)
	if c, err := w.db.ChangeNote(t.Context(), w.tenant, byOperator, n.ID, w.operator, false, new("Pays."), 0); err != nil || c.Text != "Pays." || c.EditedAt == nil {
		t.Error(c, err)
	}
	// Nothing of it is sent or shown to the client.
	if n := w.int(`SELECT count(*) FROM parley_deliveries`) + w.int(`SELECT count(*) FROM crm_chat_messages WHERE direction = 'out'`); n != 0 {
		t.Errorf("%d messages", n)
	}
	if _, err := w.db.ChangeNote(t.Context(), w.tenant, byOperator, n.ID, 0, true, nil, 0); err != nil {
		t.Error(err)
	}
	list, err := w.db.Notes(t.Context(), w.tenant, chat, 0, 10)
	if err != nil || len(list) != 0 {
		t.Error(list, err)
	}
	for _, verb := range []string{"note.added", "note.changed", "note.deleted"} {
		if n := w.facts(verb); n != 1 {
			t.Errorf("%d facts %s", n, verb)
		}
	}
}

func TestDrafts(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "one")
	put := func(d inbox.Draft) error { return w.db.PutDraft(t.Context(), w.tenant, w.operator, d) }
	for _, text := range []string{"W", "We", ""} {
		if err := put(inbox.Draft{ChatID: chat, Text: text, Channel: w.channel}); err != nil {
			t.Fatal(err)
		}
		d, err := w.db.Draft(t.Context(), w.tenant, chat, w.operator)
		if err != nil || d.Text != text || (d.Channel == w.channel) != (text != "") || d.UpdatedAt.IsZero() != (text == "") {
			t.Errorf("%+v, %v", d, err)
		}
	}
	wantCode(t, put(inbox.Draft{ChatID: chat, Text: "x", ReplyTo: 4711}), inbox.NotFound)
	wantCode(t, put(inbox.Draft{ChatID: 4711, Text: "x"}), inbox.NotFound)
}
