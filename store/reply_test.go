package store_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

func TestReplyIsMessageDeliveryAndFact(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	m := w.mustReply(w.reply(chat, "Hi, how can I help? 👋"))

	if m.Seq != 2 || m.Direction != inbox.Out || m.Sender != "Operator" || m.Text != "Hi, how can I help? 👋" || m.SentAt != nil {
		t.Errorf("message is %+v", m)
	}
	if m.Channel != w.channel || m.Transport != events.Telegram {
		t.Errorf("it goes by %s %s", m.Transport, m.Channel)
	}
	if m.Delivery == nil || m.Delivery.State != inbox.Queued {
		t.Fatalf("delivery is %+v", m.Delivery)
	}
	if n := w.int(`SELECT count(*) FROM parley_deliveries d JOIN crm_chat_members m ON m.id = d.member_id
		WHERE d.message_id = $1 AND d.lane = '1' AND m.client_id IS NOT NULL`, m.ID); n != 1 {
		t.Errorf("%d deliveries go to the client", n)
	}
	if n := w.int(`SELECT count(*) FROM parley_facts WHERE noun = 'message' AND verb = 'queued' AND chat_id = $1
		AND (data->>'message_id')::bigint = $2`, chat, m.ID); n != 1 {
		t.Errorf("%d facts tell of it", n)
	}
	c := w.chat(chat)
	if c.LastSeq != 2 || c.Unread != 0 || c.Last != m.Text || !c.LastMessageAt.Equal(m.CreatedAt) {
		t.Errorf("chat is %+v", c)
	}
}

func TestReplyAgainWithTheSameKeyIsTheSameReply(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	r := w.reply(chat, "once")
	r.Key = "k-1"
	first := w.mustReply(r)
	w.says(1, "meanwhile") // a repeated request is not stale: it has happened
	if again := w.mustReply(r); again.ID != first.ID {
		t.Errorf("the second is message %d, the first was %d", again.ID, first.ID)
	}
	if n := w.int(`SELECT count(*) FROM parley_deliveries`); n != 1 {
		t.Errorf("%d deliveries", n)
	}
	other := w.says(2, "hello from another")
	for name, change := range map[string]func(*store.Reply){
		"text": func(r *store.Reply) { r.Text = "twice" },
		"chat": func(r *store.Reply) { r.Chat, r.Seen = other, 1 },
	} {
		changed := r
		change(&changed)
		_, err := w.db.Reply(t.Context(), changed)
		t.Log(name)
		wantCode(t, err, inbox.Conflict)
	}
}

func TestReplyAtOnceWithOneKeyIsOneReply(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	r := w.reply(w.says(1, "hello"), "once")
	r.Key = "k-1"
	other := r
	other.Chat = w.says(2, "hello")
	var wg sync.WaitGroup
	ids := make([]int64, 8)
	for i := range ids {
		wg.Go(func() {
			m, err := w.db.Reply(t.Context(), r)
			if err != nil {
				t.Error(err)
			}
			ids[i] = m.ID
		})
	}
	wg.Wait()
	if len(slices.Compact(ids)) != 1 {
		t.Errorf("messages are %v", ids)
	}
	// Another chat has another lock: only the unique index is between them.
	_, err := w.db.Reply(t.Context(), other)
	wantCode(t, err, inbox.Conflict)
}

func TestReplyOnStaleSight(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "one")
	r := w.reply(chat, "answer to one")
	w.says(1, "two")
	w.says(1, "three")

	_, err := w.db.Reply(t.Context(), r)
	e := errorOf(t, err, inbox.Stale)
	missed, ok := e.Detail.(*store.Missed)
	if !ok || missed.LastSeq != 3 || len(missed.Messages) != 2 || missed.Messages[0].Text != "two" || missed.Messages[1].Text != "three" {
		t.Fatalf("detail is %+v", e.Detail)
	}
	if n := w.int(`SELECT count(*) FROM crm_chat_messages WHERE direction = 'out'`); n != 0 {
		t.Errorf("%d replies were stored", n)
	}
	if c := w.chat(chat); c.Unread != 3 {
		t.Errorf("a refused reply marked messages as read: %d are not", c.Unread)
	}

	r.Force = true
	w.mustReply(r)
	if c := w.chat(chat); c.Unread != 2 {
		t.Errorf("%d are unread, want the two that were not seen", c.Unread)
	}

	// One's own messages are no news.
	r = w.reply(chat, "first of two")
	w.mustReply(r)
	r.Text = "second of two"
	w.mustReply(r)

	// A colleague's are.
	w.exec(`INSERT INTO core_users (tenant_id, name) VALUES ($1, 'Colleague')`, string(w.tenant))
	r = w.reply(chat, "I'll take this one")
	colleague := r
	colleague.User = w.int(`SELECT max(id) FROM core_users`)
	w.mustReply(colleague)
	_, err = w.db.Reply(t.Context(), r)
	wantCode(t, err, inbox.Stale)
}

func TestReplyIsRefused(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	second := w.addChannel("Sales").ID
	for _, tt := range []struct {
		name   string
		setup  string
		change func(*store.Reply)
		code   inbox.Code
		undo   string
	}{
		{name: "unknown chat", change: func(r *store.Reply) { r.Chat = 4711 }, code: inbox.NotFound},
		{name: "chat id beyond the column", change: func(r *store.Reply) { r.Chat = 1 << 40 }, code: inbox.NotFound},
		{name: "no text", change: func(r *store.Reply) { r.Text = " \n" }, code: inbox.Invalid},
		{name: "too long", change: func(r *store.Reply) { r.Text = strings.Repeat("x", store.MaxReply+1) }, code: inbox.Invalid},
		{name: "NUL", change: func(r *store.Reply) { r.Text = "a\x00b" }, code: inbox.Invalid},
		{name: "broken UTF-8", change: func(r *store.Reply) { r.Text = "a\xffb" }, code: inbox.Invalid},
		{name: "seen the future", change: func(r *store.Reply) { r.Seen = 99 }, code: inbox.Invalid},
		{name: "unknown channel", change: func(r *store.Reply) { r.Channel = events.ChannelID(uuid.NewString()) }, code: inbox.NotFound},
		{name: "channel that is no id", change: func(r *store.Reply) { r.Channel = "Support" }, code: inbox.NotFound},
		{name: "never wrote there", change: func(r *store.Reply) { r.Channel = second }, code: inbox.Refused},
		{name: "unknown user", change: func(r *store.Reply) { r.User = 4711 }, code: inbox.NotFound},
		{name: "unknown tenant", change: func(r *store.Reply) { r.Tenant = events.TenantID(uuid.NewString()) }, code: inbox.NotFound},
		{name: "tenant that is no id", change: func(r *store.Reply) { r.Tenant = "Acme" }, code: inbox.NotFound},
		{name: "quotes what is not there", change: func(r *store.Reply) { r.ReplyTo = 4711 }, code: inbox.NotFound},
		{
			name: "blocked", setup: `UPDATE crm_clients SET blocked_at = now()`, undo: `UPDATE crm_clients SET blocked_at = NULL`,
			code: inbox.Refused,
		},
		{
			name: "unreachable", code: inbox.Refused,
			setup: `UPDATE crm_chat_members SET unreachable_at = now(), unreachable_why = 'The client blocked this channel.'`,
			undo:  `UPDATE crm_chat_members SET unreachable_at = NULL`,
		},
		{
			name: "paused", setup: `UPDATE parley_channels SET paused_at = now()`, undo: `UPDATE parley_channels SET paused_at = NULL`,
			code: inbox.Refused,
		},
	} {
		if tt.setup != "" {
			w.exec(tt.setup)
		}
		r := w.reply(chat, "hi")
		if tt.change != nil {
			tt.change(&r)
		}
		_, err := w.db.Reply(t.Context(), r)
		t.Log(tt.name)
		wantCode(t, err, tt.code)
		if tt.undo != "" {
			w.exec(tt.undo)
		}
	}
	if n := w.int(`SELECT count(*) FROM parley_deliveries`); n != 0 {
		t.Errorf("%d deliveries were queued", n)
	}
	w.mustReply(w.reply(chat, "after all"))
}

func TestReplyQuotesByTheProvidersID(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "a question")
	r := w.reply(chat, "an answer")
	r.ReplyTo = w.int(`SELECT id FROM crm_chat_messages WHERE chat_id = $1`, chat)
	m := w.mustReply(r)
	if m.Content.ReplyTo == nil || m.Content.ReplyTo.Message != "1" {
		t.Errorf("content is %+v", m.Content)
	}
	if n := w.int(`SELECT count(*) FROM parley_deliveries WHERE reply_to = '1'`); n != 1 {
		t.Error("the delivery does not quote")
	}
	// What has not been sent yet has no id there.
	r = w.reply(chat, "a quote of my own")
	r.ReplyTo = m.ID
	_, err := w.db.Reply(t.Context(), r)
	wantCode(t, err, inbox.Refused)
}

func TestReplyGoesWhereTheClientWroteLast(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	second := w.addChannel("Sales").ID
	chat := w.says(1, "on the first")
	if got := w.saysOn(second, 1, "on the second"); got != chat {
		t.Fatalf("one person has two chats, %d and %d", chat, got)
	}
	if m := w.mustReply(w.reply(chat, "hi")); m.Channel != second {
		t.Errorf("went by %s, want the second channel", m.Channel)
	}
	r := w.reply(chat, "hi there")
	r.Channel = w.channel
	if m := w.mustReply(r); m.Channel != w.channel {
		t.Errorf("went by %s, want the named channel", m.Channel)
	}
	w.exec(`UPDATE crm_chat_members SET unreachable_at = now() WHERE channel_id = $1`, string(second))
	if m := w.mustReply(w.reply(chat, "hi again")); m.Channel != w.channel {
		t.Errorf("went by %s, want the one that reaches them", m.Channel)
	}
	if n := w.int(`SELECT count(*) FROM crm_chat_members WHERE user_id IS NOT NULL`); n != 1 {
		t.Errorf("the agent is %d members on one transport", n)
	}
}

func TestLastMessageNeverGoesBack(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	w.exec(`UPDATE crm_chats SET last_message_at = now() + interval '1 hour'`)
	before := *w.chat(chat).LastMessageAt
	w.mustReply(w.reply(chat, "hi"))
	if after := *w.chat(chat).LastMessageAt; after.Before(before) {
		t.Errorf("went from %s back to %s", before, after)
	}
}
