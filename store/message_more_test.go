package store_test

import (
	"fmt"
	"testing"

	"parley/inbox"
	"parley/store"
)

// A message is read with its reactions, what it said before, the other ways it
// came by, what it answers, and the chats it has to do with.
func TestWhatThereIsToAMessage(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat, other := w.says(1, "hello"), w.says(2, "hello, too")
	in := w.int(`SELECT id FROM crm_chat_messages WHERE chat_id = $1`, chat)
	sales := w.addChannel("Sales").ID
	w.exec(`INSERT INTO parley_links (tenant_id, message_id, chat_id, why) VALUES ($1, $2, $3, 'thread'), ($1, $2, $3, 'address')`, string(w.tenant), in, other)
	for _, key := range []string{"a", "b"} { // the same mailbox twice is one way
		w.exec(`INSERT INTO parley_copies (tenant_id, channel_id, provider_chat, provider_message, message_id, event_id, accepted_at)
			VALUES ($1, $2, 'mail', $3, $4, gen_random_uuid(), now())`, string(w.tenant), string(sales), key, in)
	}
	answer := w.reply(chat, "better")
	answer.ReplyTo = in
	out := w.mustReply(answer).ID
	w.exec(`UPDATE parley_deliveries SET state = 'sent'`)
	// On the phone first, then here; on the other message taken back here.
	for _, message := range []int64{in, out} {
		w.exec(`INSERT INTO parley_reactions (tenant_id, message_id, person, emoji, at)
			VALUES ($1, $2, '1', '{❤,🎉}', now()), ($1, $2, '', '{👌}', now() - interval '1 hour')`, string(w.tenant), message)
	}
	act := func(no int, message int64, state, action string) {
		t.Helper()
		w.exec(`INSERT INTO parley_deliveries (tenant_id, message_id, chat_id, channel_id, member_id, lane, state, action, action_no)
			SELECT tenant_id, $1, chat_id, channel_id, id, '1', $2, $3::jsonb || jsonb_build_object('user', $4::bigint), $5
			  FROM crm_chat_members WHERE chat_id = $6 AND client_id IS NOT NULL LIMIT 1`, message, state, action, w.operator, no, chat)
	}
	act(1, in, "sent", `{"emoji": ["👍"]}`)
	act(2, in, "failed", `{"emoji": ["👎"]}`)
	act(1, out, "sent", `{}`)
	act(2, out, "sent", `{"text": "better", "before": {"type": "text", "text": "good"}}`)
	act(3, out, "failed", `{"text": "best", "before": {"type": "text", "text": "better"}}`)
	w.exec(`UPDATE crm_chat_messages SET edited_at = now() WHERE id = ANY ($1)`, []int64{in, out})
	w.exec(`INSERT INTO parley_updates (tenant_id, channel_id, kind, provider_event, event, event_id, accepted_at, stream_partition, stream_seq, message_id, applied_at, before)
		VALUES ($1, $2, 'edit', 'e', '{}', gen_random_uuid(), now(), 1, 99, $3, now(), '{"type": "text", "text": "helo"}')`, string(w.tenant), string(w.channel), in)

	ms, _, err := w.db.Messages(t.Context(), w.tenant, chat, store.MessagePage{})
	if err != nil || len(ms) != 2 {
		t.Fatal(ms, err)
	}
	one, err := w.db.Message(t.Context(), w.tenant, in)
	if err != nil {
		t.Fatal(err)
	}
	says := func(m inbox.Message) (s string) {
		for _, r := range m.Reactions {
			s += fmt.Sprintf("%v by %s, ours %v; ", r.Emoji, r.By, r.Ours)
		}
		for _, e := range m.Edits {
			s += "was " + e.Text + "; "
		}
		for _, v := range m.ReceivedVia {
			s += "via " + v.Name + "; "
		}
		for _, l := range m.Links {
			s += fmt.Sprintf("%s %s %v; ", l.Why, l.Client, l.Chat == other)
		}
		return s
	}
	const first = "[❤ 🎉] by Client 1, ours false; [👍] by Operator, ours true; was helo; via Sales; address Client 2 true; thread Client 2 true; "
	for i, want := range []string{first, "[❤ 🎉] by Client 1, ours false; was good; "} {
		if got := says(ms[i]); got != want {
			t.Errorf("message %d: %s\nwant %s", i, got, want)
		}
	}
	if a := ms[1].Answers; ms[0].Answers != nil || a == nil || *a != (inbox.Answered{ID: in, Seq: 1, Direction: inbox.In, Text: "hello"}) {
		t.Errorf("the answer answers %+v, the first message %+v", a, ms[0].Answers)
	}
	if got := says(one); got != first {
		t.Errorf("by its id: %s", got)
	}
}
