package store_test

import (
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// whatsApp is what an account with a reply window can do.
func whatsApp() inbox.Abilities {
	return inbox.Abilities{ReplyWindow: 24 * time.Hour, Templates: true}
}

// What the dispatcher would refuse is refused at once, with words and what
// programs need.
func TestRepliesAreRefusedBeforeTheyAreStored(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	window := func(r *store.Reply) { r.Can = map[events.ChannelID]inbox.Abilities{w.channel: whatsApp()} }
	template := func(r *store.Reply) { r.Text, r.Template = "", &inbox.Template{ID: "HX1"} }
	for _, tt := range []struct {
		name, set, undo string
		adjust          func(*store.Reply)
		state           inbox.RouteState // empty when the reply is taken
		says            string
	}{
		{name: "within the window", adjust: window},
		{
			name: "the window is over", adjust: window, state: inbox.RouteWindowClosed, says: "24 hours",
			set: "UPDATE crm_chat_messages SET sent_at = now() - interval '25 hours' WHERE direction = 'in'",
		},
		{name: "a template outside of it", adjust: func(r *store.Reply) { window(r); template(r) }},
		{name: "no window at all", undo: "UPDATE crm_chat_messages SET sent_at = now() WHERE direction = 'in'"},
		{
			name: "they blocked us", state: inbox.RouteUnreachable, says: "opted out",
			set:  "UPDATE crm_chat_members SET unreachable_at = now(), unreachable_why = 'The client opted out.' WHERE client_id IS NOT NULL",
			undo: "UPDATE crm_chat_members SET unreachable_at = NULL",
		},
		{
			name: "a paused channel", state: inbox.RoutePaused, says: "paused",
			set: "UPDATE parley_channels SET paused_at = now()", undo: "UPDATE parley_channels SET paused_at = NULL",
		},
		{
			name: "refused credentials, and something waits to try them", state: inbox.RouteTrouble, says: "token",
			set: `WITH s AS (INSERT INTO parley_senders (channel_id, tenant_id, state, words, version)
			                 SELECT id, tenant_id, 'needs_attention', 'The token is wrong.', 1 FROM parley_channels)
			      INSERT INTO parley_lanes (channel_id, lane, tenant_id, due_at) SELECT id, 'x', tenant_id, now() FROM parley_channels`,
			undo: "DELETE FROM parley_lanes",
		},
		{name: "refused credentials, and this reply tries them"},
	} {
		if tt.set != "" {
			w.exec(tt.set)
		}
		r := w.reply(chat, "hi")
		if tt.adjust != nil {
			tt.adjust(&r)
		}
		before := w.int("SELECT count(*) FROM crm_chat_messages")
		_, err := w.db.Reply(t.Context(), r)
		if tt.state == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			w.exec("DELETE FROM parley_lanes") // as if it had been sent
		} else {
			e := errorOf(t, err, inbox.Refused)
			detail, ok := e.Detail.(inbox.RouteRefusal)
			if !ok || detail.State != tt.state || detail.Channel != w.channel || !strings.Contains(e.Message, tt.says) || e.Hint == "" {
				t.Errorf("%s: %+v, %q %q", tt.name, e.Detail, e.Message, e.Hint)
			}
			if n := w.int("SELECT count(*) FROM crm_chat_messages"); n != before {
				t.Errorf("%s: it was stored", tt.name)
			}
		}
		if tt.undo != "" {
			w.exec(tt.undo)
		}
	}
}

// Without a channel named, a reply goes where it can.
func TestRepliesTakeTheWayThatIsOpen(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	second := w.addChannel("Second").ID
	chat := w.says(1, "hello")
	w.saysOn(second, 1, "hello there")
	r := w.reply(chat, "hi")
	r.Can = map[events.ChannelID]inbox.Abilities{second: {ReplyWindow: time.Nanosecond, Templates: true}}
	if m := w.mustReply(r); m.Channel != w.channel {
		t.Errorf("went by %s, whose window is over", m.Channel)
	}
	r.Template = &inbox.Template{ID: "HX1", Variables: map[string]string{"1": "Ada"}}
	r.Seen = w.chat(chat).LastSeq
	m := w.mustReply(r)
	if m.Channel != second {
		t.Errorf("the template went by %s", m.Channel)
	}
	if n := w.int(`SELECT count(*) FROM parley_deliveries WHERE template = '{"id": "HX1", "variables": {"1": "Ada"}}'`); n != 1 {
		t.Error("the template was not queued")
	}
	r.Channel = w.channel
	_, err := w.db.Reply(t.Context(), r)
	wantCode(t, err, inbox.Refused)
	r = w.reply(chat, "")
	for _, bad := range []inbox.Template{{}, {ID: strings.Repeat("x", 300)}, {ID: "HX\x00"}, {ID: "HX", Variables: map[string]string{"": "x"}}} {
		r.Template = &bad
		_, err := w.db.Reply(t.Context(), r)
		wantCode(t, err, inbox.Invalid)
	}
}

func TestTheSameKeyWithAnotherTemplateIsAnotherReply(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	r := w.reply(chat, "")
	r.Key, r.Template = "k", &inbox.Template{ID: "HX1", Variables: map[string]string{"1": "Ada"}}
	first := w.mustReply(r)
	if again := w.mustReply(r); again.ID != first.ID {
		t.Error("it was stored twice")
	}
	r.Template = &inbox.Template{ID: "HX1", Variables: map[string]string{"1": "Bob"}}
	_, err := w.db.Reply(t.Context(), r)
	wantCode(t, err, inbox.Conflict)
}
