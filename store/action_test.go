package store_test

import (
	"strings"
	"testing"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// What a channel or a message does not allow is refused at once, in words.
func TestActionsAreRefusedWithWords(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	theirs := w.int("SELECT id FROM crm_chat_messages")
	ours := w.mustReply(w.reply(chat, "hi")).ID
	able := inbox.Abilities{Edits: true, Reactions: true, Fits: func(text string, _ bool) bool { return len(text) < 10 }}
	act := func(message int64, can inbox.Abilities, a inbox.Action) error {
		_, err := w.db.Act(t.Context(), store.Act{Tenant: w.tenant, Message: message, Action: a, Can: map[events.ChannelID]inbox.Abilities{w.channel: can}})
		return err
	}
	edit, react := inbox.Action{Text: new("ho")}, inbox.Action{Emoji: []string{"👍"}}
	for _, tt := range []struct {
		name      string
		message   int64
		can       inbox.Abilities
		action    inbox.Action
		set, undo string
		code      inbox.Code
	}{
		{name: "an edit", message: ours, can: able, action: edit},
		{name: "a reaction to theirs", message: theirs, can: able, action: react},
		{name: "taking it back", message: theirs, can: able},
		{name: "an edit where there is none", message: ours, can: inbox.Abilities{Reactions: true}, action: edit, code: inbox.Refused},
		{name: "a reaction where there is none", message: ours, can: inbox.Abilities{Edits: true}, action: react, code: inbox.Refused},
		{name: "an edit of theirs", message: theirs, can: able, action: edit, code: inbox.Refused},
		{name: "too long", message: ours, can: able, action: inbox.Action{Text: new("much too long a text")}, code: inbox.Refused},
		{name: "empty", message: ours, can: able, action: inbox.Action{Text: new(" ")}, code: inbox.Invalid},
		{name: "no emoji", message: ours, can: able, action: inbox.Action{Emoji: []string{strings.Repeat("x", 100)}}, code: inbox.Invalid},
		{name: "no message", message: 99, can: able, action: edit, code: inbox.NotFound},
		{
			name: "several parts", message: ours, can: able, action: edit, code: inbox.Refused,
			set: "UPDATE parley_deliveries SET parts = 2", undo: "UPDATE parley_deliveries SET parts = 1",
		},
		{
			name: "failed", message: ours, can: able, action: edit, code: inbox.Refused,
			set: "UPDATE parley_deliveries SET state = 'failed' WHERE action_no = 0", undo: "UPDATE parley_deliveries SET state = 'sent' WHERE action_no = 0",
		},
		{name: "blocked", message: ours, can: able, action: react, code: inbox.Refused, set: "UPDATE crm_clients SET blocked_at = now()"},
	} {
		if tt.set != "" {
			w.exec(tt.set)
		}
		before := w.int("SELECT count(*) FROM parley_deliveries")
		err := act(tt.message, tt.can, tt.action)
		queued := w.int("SELECT count(*) FROM parley_deliveries") - before
		if tt.code == "" {
			if err != nil || queued != 1 {
				t.Errorf("%s: %v, %d queued", tt.name, err, queued)
			}
		} else if inbox.CodeOf(err) != tt.code || queued != 0 {
			t.Errorf("%s: %v, %d queued", tt.name, err, queued)
		}
		if tt.undo != "" {
			w.exec(tt.undo)
		}
	}
	if m, _, err := w.db.Messages(t.Context(), w.tenant, chat, store.MessagePage{}); err != nil || len(m) != 2 {
		t.Errorf("actions show as messages: %+v, %v", m, err)
	}
}
