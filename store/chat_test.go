package store_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"parley/inbox"
	"parley/store"
)

func TestChatsByActivity(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	var want []int64
	for who := range int64(7) {
		want = append(want, w.says(who+1, fmt.Sprint("hello from ", who+1)))
	}
	w.says(1, "again") // and so to the front
	want = append(want[1:], want[0])
	// A chat that another program made, without a message.
	w.exec(`WITH c AS (INSERT INTO crm_clients (tenant_id, first_name) VALUES ($1, 'Quiet') RETURNING id)
		INSERT INTO crm_chats (tenant_id, client_id, created_at) SELECT $1, id, '2020-01-01' FROM c`, string(w.tenant))
	want = append([]int64{w.int(`SELECT max(id) FROM crm_chats`)}, want...)
	slices.Reverse(want)

	var got []int64
	page := store.ChatPage{Limit: 3}
	for pages := 1; ; pages++ {
		chats, next, err := w.db.Chats(t.Context(), w.tenant, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range chats {
			got = append(got, c.ID)
		}
		if next == "" {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		page.Cursor = next
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}

	chats, _, err := w.db.Chats(t.Context(), w.tenant, store.ChatPage{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	c := chats[0]
	if c.Last != "again" || c.Unread != 2 || c.LastSeq != 2 || c.Client.FirstName != "Client 1" {
		t.Errorf("first is %+v", c)
	}
	_, _, err = w.db.Chats(t.Context(), w.tenant, store.ChatPage{Cursor: "nonsense"})
	wantCode(t, err, inbox.Invalid)
}

func TestUnreadChats(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	read, unread := w.says(1, "one"), w.says(2, "two")
	if n, err := w.db.MarkRead(t.Context(), w.tenant, read, 1); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if n, err := w.db.MarkRead(t.Context(), w.tenant, read, 1); err != nil || n != 0 {
		t.Fatal("again: ", n, err)
	}
	if n := w.int(`SELECT count(*) FROM parley_facts WHERE noun = 'chat' AND verb = 'read'`); n != 1 {
		t.Errorf("%d facts tell of it", n)
	}
	chats, _, err := w.db.Chats(t.Context(), w.tenant, store.ChatPage{ChatFilter: store.ChatFilter{Unread: true}})
	if err != nil || len(chats) != 1 || chats[0].ID != unread {
		t.Errorf("got %v, %v", chats, err)
	}
	_, err = w.db.MarkRead(t.Context(), w.tenant, 4711, 1)
	wantCode(t, err, inbox.NotFound)
}

func TestChatHasRoutes(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	second := w.addChannel("Sales").ID
	chat := w.says(1, "one")
	w.saysOn(second, 1, "two")
	c := w.chat(chat)
	if len(c.Routes) != 2 || c.Routes[0].Channel != second || c.Routes[1].Name != "Support" || c.Routes[0].Address != "1" {
		t.Errorf("routes are %+v", c.Routes)
	}
	if c.Routes[0].LastInboundAt == nil || c.Routes[0].LastInboundAt.Before(*c.Routes[1].LastInboundAt) {
		t.Errorf("routes are %+v", c.Routes)
	}
	_, err := w.db.Chat(t.Context(), w.tenant, 4711)
	wantCode(t, err, inbox.NotFound)
}

func TestMessagesPageBothWays(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	var chat int64
	for i := range 9 {
		chat = w.says(1, fmt.Sprint(i+1))
	}
	for _, tt := range []struct {
		page store.MessagePage
		want string
		more bool
	}{
		{store.MessagePage{}, "1 2 3 4 5 6 7 8 9", false},
		{store.MessagePage{Limit: 3}, "7 8 9", true},
		{store.MessagePage{Before: 7, Limit: 3}, "4 5 6", true},
		{store.MessagePage{Before: 4, Limit: 3}, "1 2 3", false},
		{store.MessagePage{Before: 1}, "", false},
		{store.MessagePage{After: 1, Limit: 3}, "2 3 4", true},
		{store.MessagePage{After: 6, Limit: 3}, "7 8 9", false},
		{store.MessagePage{After: 9}, "", false},
		{store.MessagePage{Around: 5, Limit: 3}, "4 5 6", true},
		{store.MessagePage{Around: 1, Limit: 4}, "1 2 3 4", true},
		{store.MessagePage{Around: 9, Limit: 100}, "1 2 3 4 5 6 7 8 9", false},
	} {
		ms, more, err := w.db.Messages(t.Context(), w.tenant, chat, tt.page)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range ms {
			got = append(got, m.Text)
		}
		if strings.Join(got, " ") != tt.want || more != tt.more {
			t.Errorf("%+v: got %v, %v", tt.page, got, more)
		}
	}
	_, _, err := w.db.Messages(t.Context(), w.tenant, 4711, store.MessagePage{})
	wantCode(t, err, inbox.NotFound)
}

func TestFormerAgentKeepsTheirMessages(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	m := w.mustReply(w.reply(w.says(1, "hello"), "hi"))
	w.exec(`DELETE FROM core_users`)
	got, err := w.db.Message(t.Context(), w.tenant, m.ID)
	if err != nil || got.Sender != store.FormerAgent {
		t.Errorf("sender is %q, %v", got.Sender, err)
	}
	_, err = w.db.Message(t.Context(), w.tenant, 4711)
	wantCode(t, err, inbox.NotFound)
}

func TestNoTenantSeesAnothersChats(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "a secret")
	m := w.mustReply(w.reply(chat, "kept"))
	other, err := w.db.CreateTenant(t.Context(), "Other")
	if err != nil {
		t.Fatal(err)
	}
	chats, _, err := w.db.Chats(t.Context(), other.ID, store.ChatPage{})
	if err != nil || len(chats) != 0 {
		t.Errorf("sees %v, %v", chats, err)
	}
	_, err = w.db.Chat(t.Context(), other.ID, chat)
	wantCode(t, err, inbox.NotFound)
	_, _, err = w.db.Messages(t.Context(), other.ID, chat, store.MessagePage{})
	wantCode(t, err, inbox.NotFound)
	_, err = w.db.Message(t.Context(), other.ID, m.ID)
	wantCode(t, err, inbox.NotFound)
	_, err = w.db.MarkRead(t.Context(), other.ID, chat, 9)
	wantCode(t, err, inbox.NotFound)
	r := w.reply(chat, "from outside")
	r.Tenant = other.ID
	_, err = w.db.Reply(t.Context(), r)
	wantCode(t, err, inbox.NotFound)
	_, err = w.db.Channel(t.Context(), other.ID, w.channel)
	wantCode(t, err, inbox.NotFound)
	_, err = w.db.PauseChannel(t.Context(), other.ID, w.channel, true)
	wantCode(t, err, inbox.NotFound)
}

// TestChatsAreCheapAmongMany holds the page's plan: what it reads depends on the
// page, not on how many chats there are or how long they are.
func TestChatsAreCheapAmongMany(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	const chats, messages = 20_000, 100_000
	w.exec(`
		WITH cl AS (
			INSERT INTO crm_clients (tenant_id, first_name) SELECT $1, 'C' || i FROM generate_series(1, $2) i RETURNING id),
		c AS (
			INSERT INTO crm_chats (tenant_id, client_id, last_message_at, last_seq)
			SELECT $1, id, now() - id * interval '1 second', $3 / $2 FROM cl RETURNING id, client_id),
		m AS (
			INSERT INTO crm_chat_members (tenant_id, chat_id, client_id, transport, channel_id, provider_user, address)
			SELECT $1, id, client_id, 'telegram', $4, id, id FROM c RETURNING id, chat_id)
		INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, seq, direction, sent_at, read_at)
		SELECT $1, chat_id, id, 'text', s, 'in', now(), now() FROM m, generate_series(1, $3 / $2) s`,
		string(w.tenant), chats, messages, string(w.channel))
	first, next, err := w.db.Chats(t.Context(), w.tenant, store.ChatPage{})
	if err != nil || len(first) != store.DefaultChats {
		t.Fatal(len(first), err)
	}
	// What autovacuum does once tables have grown.
	owner, err := pgx.Connect(t.Context(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close(context.WithoutCancel(t.Context())) }()
	if _, err := owner.Exec(t.Context(), `ANALYZE crm_clients, crm_chats, crm_chat_messages`); err != nil {
		t.Fatal(err)
	}
	for _, page := range []store.ChatPage{{}, {Cursor: next}} {
		plan, err := w.db.ExplainChats(t.Context(), w.tenant, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"Seq Scan on crm_", "Bitmap Heap Scan on crm_chats", "Hash"} {
			if strings.Contains(plan, bad) {
				t.Fatalf("page %+v reads what it does not show (%s):\n%s", page, bad, plan)
			}
		}
		// Only what was active in the same quarter of a minute as the page's ends is
		// read for nothing: a chat a second here.
		for _, m := range regexp.MustCompile(`Rows Removed[^:]*: (\d+)|Index Scan using parley_chats_folder.*rows=(\d+)`).FindAllStringSubmatch(plan, -1) {
			if n, err := strconv.Atoi(m[1] + m[2]); err != nil || n > store.DefaultChats+2*15 {
				t.Fatalf("page %+v reads %s rows (%v) that it does not show:\n%s", page, m[0], err, plan)
			}
		}
	}
}
