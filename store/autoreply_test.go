package store_test

import (
	"sync"
	"testing"
	"time"

	"parley/inbox"
	"parley/store"
)

func (w *deskWorld) hours(change func(*inbox.Hours)) []store.AutoReplyRule {
	w.t.Helper()
	h := inbox.Hours{Enabled: true, TimeZone: "UTC", Away: "Hello {{first_name|there}}, we are away."}
	if change != nil {
		change(&h)
	}
	if _, err := w.db.SetHours(w.t.Context(), w.tenant, 0, h); err != nil {
		w.t.Fatal(err)
	}
	all, err := w.db.HoursOfChannels(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return store.AutoReplyRules(w.tenant, all[w.tenant], time.Now())
}

// answer answers all that is due, and says how many that were.
func (w *deskWorld) answer(rules []store.AutoReplyRule) (answered int) {
	w.t.Helper()
	due, err := w.db.AutoRepliesDue(w.t.Context(), w.tenant, rules, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range due {
		did, err := w.db.AutoReply(w.t.Context(), d.Rule, d.Chat, w.operator, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		if did {
			answered++
		}
	}
	return answered
}

// A person is answered once a day, however many workers answer and however often
// they write; it makes no colleague's reply stale.
func TestAwayReplyOncePerDay(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	rules := w.hours(nil)
	if len(rules) != 1 || rules[0].Kind != store.AutoAway {
		t.Fatalf("rules are %+v", rules)
	}
	chat := w.says(1, "hello")
	due, err := w.db.AutoRepliesDue(t.Context(), w.tenant, rules, 100)
	if err != nil || len(due) != 1 || due[0].Chat != chat {
		t.Fatalf("due are %+v, %v", due, err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := w.db.AutoReply(t.Context(), due[0].Rule, chat, w.operator, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if c := w.chat(chat); c.LastSeq != 2 || c.Last != "Hello Client 1, we are away." && c.Last != "Hello there, we are away." || c.Unread != 1 {
		t.Errorf("the chat is %+v", c)
	}
	if n := w.int("SELECT count(*) FROM crm_chat_messages WHERE direction = 'out' AND (content ->> 'automatic')::boolean"); n != 1 {
		t.Errorf("%d messages are marked as automatic", n)
	}
	w.says(1, "are you there?")
	if n := w.answer(rules); n != 0 {
		t.Errorf("%d were answered again", n)
	}
	// Tomorrow they are.
	w.exec("UPDATE parley_autoreplies SET day = day - 1")
	if n := w.answer(rules); n != 1 {
		t.Errorf("%d were answered the next day", n)
	}
	w.exec("INSERT INTO core_users (tenant_id, name) VALUES ($1, 'Ann')", string(w.tenant))
	r := w.reply(chat, "Here I am.")
	r.User, r.Seen = w.int("SELECT max(id) FROM core_users WHERE name = 'Ann'"), 3
	w.mustReply(r)
}

func TestWhoIsNotAnsweredAutomatically(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	rules := w.hours(nil)
	answered := w.says(1, "hello")
	w.mustReply(w.reply(answered, "I am here"))
	w.says(2, "blocked")
	w.exec("UPDATE crm_clients SET blocked_at = now() WHERE id = (SELECT client_id FROM crm_chats WHERE id = (SELECT max(id) FROM crm_chats))")
	automatic := w.says(3, "automatic")
	w.exec(`UPDATE crm_chat_messages SET content = content || '{"mail": {"automatic": "auto-replied", "from": {"address": "ada@example.org"}}}' WHERE chat_id = $1`, automatic)
	// Mails of programs that do not say so, of nobody, of ourselves, and forged ones
	// (RFC 3834, section 2).
	w.exec(`UPDATE parley_channels SET settings = settings || '{"address": "Office@example.com"}', transport = 'email'`)
	for i, mail := range []string{
		`{"from": {"address": "no-reply@example.org"}}`, `{"from": {"address": "MAILER-DAEMON@example.org"}}`, `{"from": {"address": "list-request@example.org"}}`,
		`{"from": {"address": "office@example.com"}}`, `{"from": {}}`, `{"from": {"address": "bank@example.org"}, "dmarc": "fail"}`,
	} {
		w.exec(`UPDATE crm_chat_messages SET content = content || jsonb_build_object('mail', $2::jsonb) WHERE chat_id = $1`, w.says(int64(10+i), "a mail"), mail)
	}
	opted := w.says(4, "stop")
	w.exec("UPDATE crm_chat_members SET unreachable_at = now(), unreachable_why = 'opted out' WHERE chat_id = $1 AND client_id IS NOT NULL", opted)
	old := w.says(5, "long ago")
	w.exec("UPDATE crm_chat_messages SET created_at = now() - interval '2 hours' WHERE chat_id = $1", old)
	if n := w.answer(rules); n != 0 {
		t.Errorf("%d were answered", n)
	}
	if n := w.int("SELECT count(*) FROM crm_chat_messages WHERE direction = 'out'"); n != 1 {
		t.Errorf("%d messages were written", n)
	}
	if n := w.answer(w.hours(func(h *inbox.Hours) { h.Enabled = false })); n != 0 {
		t.Errorf("switched off, %d were answered", n)
	}
}

func TestGreeting(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	open := []string{"00:00-24:00"}
	rules := w.hours(func(h *inbox.Hours) {
		h.Greeting = "Welcome!"
		h.Week = map[string][]string{"mon": open, "tue": open, "wed": open, "thu": open, "fri": open, "sat": open, "sun": open}
	})
	chat := w.says(1, "hello")
	if n := w.answer(rules); n != 1 || w.chat(chat).Last != "Welcome!" {
		t.Errorf("%d were greeted, %+v", n, w.chat(chat))
	}
	w.exec("UPDATE parley_autoreplies SET day = day - 1")
	w.says(1, "again")
	if n := w.answer(rules); n != 0 {
		t.Errorf("%d were greeted again", n)
	}
}
