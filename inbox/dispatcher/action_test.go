package dispatcher_test

import (
	"context"
	"fmt"
	"testing"

	"parley/events"
	"parley/inbox"
	"parley/inbox/dispatcher"
	"parley/store"
	"parley/store/outboundtest"
	"parley/transports"
)

// changer is a provider whose messages can be changed and reacted to. What was
// done to them joins what it got.
type changer struct{ *provider }

var (
	_ transports.Editor  = changer{}
	_ transports.Reactor = changer{}
)

func (c changer) Edit(ctx context.Context, ch transports.Change) error {
	return c.do(ctx, ch.To, fmt.Sprintf("edit %s: %s", ch.ProviderID, ch.Text))
}

func (c changer) React(ctx context.Context, to, id string, emoji []string) error {
	return c.do(ctx, to, fmt.Sprintf("react %s: %v", id, emoji))
}

func (c changer) do(ctx context.Context, to, text string) error {
	_, err := c.Send(ctx, transports.Outbound{To: to, Part: transports.Part{Text: text}})
	return err
}

func (c changer) use(o *dispatcher.Options) {
	build := func(transports.Account) (transports.Transport, error) { return c, nil }
	o.Factories = map[events.Transport]transports.Factory{events.Telegram: build}
}

// act queues an action on what a delivery delivers.
func act(w *outboundtest.World, delivery int64, a inbox.Action) {
	w.T.Helper()
	var message int64
	var ch string
	w.Row("SELECT message_id, channel_id::text FROM parley_deliveries WHERE id = $1", []any{delivery}, &message, &ch)
	_, err := w.DB.Act(w.T.Context(), store.Act{
		Tenant: w.Tenant, Message: message, Action: a,
		Can: map[events.ChannelID]inbox.Abilities{events.ChannelID(ch): {Edits: true, Reactions: true}},
	})
	if err != nil {
		w.T.Fatal(err)
	}
}

// An action waits its turn: after the message it is about, which is tried again,
// and before what was written later. It is tried again itself, and what came of
// it is told.
func TestActionsKeepTheirPlaceInTheLane(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 1)
	first := w.QueueTexts(ch.ID, "p1", "first")[0]
	act(w, first, inbox.Action{Text: new("better")})
	act(w, first, inbox.Action{Emoji: []string{"👍"}})
	w.QueueTexts(ch.ID, "p1", "second")
	p := newProvider()
	p.caps.Edits, p.caps.Reactions = true, true
	p.script = fails(map[string][]error{
		"first":           {&transports.SendError{Outcome: transports.Retry, Words: "The network was down."}},
		"edit m1: better": {&transports.SendError{Outcome: transports.Unknown, Words: "No answer."}},
	})
	dispatch(w, p, changer{p}.use)
	w.Until("all is done", func() bool { return w.States()["sent"] == 4 })
	if got := fmt.Sprintf("%q", p.acceptedBy("p1")); got != `["first" "edit m1: better" "react m1: [👍]" "second"]` {
		t.Errorf("done were %s", got)
	}
	var text, content, before, entities string
	var edited bool
	w.Row(`SELECT m.message, m.content ->> 'text', m.edited_at IS NOT NULL, coalesce(m.content ->> 'entities', ''), e.action -> 'before' ->> 'text'
	         FROM parley_deliveries d JOIN crm_chat_messages m ON m.id = d.message_id
	         JOIN parley_deliveries e ON e.message_id = m.id AND e.action_no = 1 WHERE d.id = $1`, []any{first}, &text, &content, &edited, &entities, &before)
	if text != "better" || content != "better" || !edited || before != "first" {
		t.Errorf("it says %q (%q), edited %v, before %q", text, content, edited, before)
	}
	facts := w.Strings(`SELECT noun || '.' || verb FROM parley_facts, generate_series(1, coalesce(cardinality(chat_ids), 1)) ORDER BY id`)
	if got := fmt.Sprint(facts); got != "[message.sent message.edited message.reacted message.sent]" {
		t.Errorf("facts %s", got)
	}
}

// What cannot be done says why, and changes neither the message nor what becomes
// of it; nobody is held up.
func TestActionsThatFailLeaveTheMessageAlone(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 1)
	ids := w.QueueTexts(ch.ID, "p1", "first", "rejected")
	act(w, ids[0], inbox.Action{Text: new("too late")})
	act(w, ids[1], inbox.Action{Text: new("of nothing")})
	last := w.QueueTexts(ch.ID, "p1", "last")[0]
	p := newProvider()
	p.caps.Edits, p.caps.Reactions = true, true
	p.script = fails(map[string][]error{
		"rejected":          {&transports.SendError{Outcome: transports.Rejected, Words: "Not allowed."}},
		"edit m1: too late": {&transports.SendError{Outcome: transports.Rejected, Code: "400", Words: "The message is too old to be changed."}},
	})
	dispatch(w, p, changer{p}.use)
	w.Until("the last is sent", func() bool { return w.State(last) == "sent" })
	if w.State(ids[0]) != "sent" || w.State(ids[1]) != "failed" {
		t.Errorf("the messages are %s and %s", w.State(ids[0]), w.State(ids[1]))
	}
	words := w.Strings("SELECT words FROM parley_deliveries WHERE action_no > 0 AND state = 'failed' ORDER BY id")
	if len(words) != 2 || words[0] != "The message is too old to be changed." || words[1] == "" {
		t.Errorf("they failed for %q", words)
	}
	text := w.Strings("SELECT m.message FROM crm_chat_messages m JOIN parley_deliveries d ON d.message_id = m.id WHERE d.id = $1", ids[0])
	facts := w.Strings("SELECT data ->> 'words' FROM parley_facts WHERE verb = 'edit_failed' ORDER BY id")
	if text[0] != "first" || len(facts) != 2 || facts[0] != words[0] {
		t.Errorf("it says %q, facts %q", text, facts)
	}
}
