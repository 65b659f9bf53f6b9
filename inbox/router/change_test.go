package router_test

import (
	"fmt"
	"testing"
	"time"

	"parley/events"
	"parley/store"
	"parley/store/storetest"
)

// change is an event about the client's message of that number.
func (w *world) change(client, message int, kind events.Kind, id string) events.Inbound {
	ev := w.text(client, message, "")
	ev.Kind, ev.ProviderEvent, ev.Content = kind, id, nil
	return ev
}

func TestReachabilityInWords(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	w.store(w.text(1, 1, "hello"))
	for i, step := range []struct {
		blocked      bool
		reason, want string
	}{
		{true, "", "The client blocked this channel."},
		{false, "", ""},
		{true, "opted out", "The client opted out of messages on this channel."},
		{false, "opted in again", ""},
		{true, "the number was given up", "The client cannot be reached on this channel: the number was given up."},
	} {
		ev := w.change(1, 0, events.Reachability, fmt.Sprint("r", i))
		ev.Key, ev.Blocked, ev.Reason = events.MessageKey{}, step.blocked, step.reason
		w.store(ev)
		if res := w.store(again(ev)); res.Outcomes[0] != store.Duplicate {
			t.Errorf("step %d again: %s", i, res.Outcomes[0])
		}
		if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_chat_members
			WHERE coalesce(unreachable_why, '') = $1 AND (unreachable_at IS NOT NULL) = $2`, step.want, step.blocked); n != 1 {
			t.Errorf("step %d: not %q", i, step.want)
		}
	}
}

func TestReactionsAsTheyAreNow(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	start := time.Now().UTC().Truncate(time.Second)
	react := func(id string, after time.Duration, ours bool, emoji ...string) events.Inbound {
		ev := w.change(1, 1, events.Reacted, id)
		ev.ProviderTime, ev.Ours, ev.Reaction = start.Add(after), ours, &events.Reaction{Emoji: emoji}
		return ev
	}
	w.store(react("early", 0, false, "👍")) // before its message
	w.store(w.text(1, 1, "hello"))
	w.store(react("a", 2*time.Second, false, "❤", "🎉"), react("late", time.Second, false, "👎"), react("b", time.Second, true, "👌"))
	w.store(again(react("a", 2*time.Second, false, "❤", "🎉")))
	has := func(person, emoji string) {
		t.Helper()
		if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_reactions WHERE person = $1 AND array_to_string(emoji, ' ') = $2`, person, emoji); n != 1 {
			t.Errorf("%q does not have %q", person, emoji)
		}
	}
	has("1", "❤ 🎉")
	has("", "👌")
	w.store(react("c", 3*time.Second, false))
	has("1", "")
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_updates WHERE message_id IS NOT NULL`); n != 5 {
		t.Errorf("%d in the history", n)
	}
}

func TestEditsKeepWhatWasThere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	start := time.Now().UTC().Truncate(time.Second)
	photo := func(id, ref, caption string, after time.Duration) events.Inbound {
		ev := w.change(1, 1, events.Edit, id)
		ev.ProviderTime = start.Add(after)
		ev.Content = &events.Content{Type: events.Photo, Text: caption, Attachments: []events.Attachment{{Kind: events.Photo, Ref: ref, UniqueRef: ref}}}
		return ev
	}
	first := photo("", "one", "the cake", 0)
	first.Kind = events.Message
	w.store(first)
	w.store(photo("e1", "one", "the birthday cake", time.Minute))
	w.store(photo("e3", "two", "another cake", 3*time.Minute), photo("e2", "one", "late", 2*time.Minute))
	m := w.messages(w.tenant, w.chats(w.tenant)[0].ID)[0]
	if m.Text != "another cake" || m.EditedAt == nil || !m.EditedAt.Equal(start.Add(3*time.Minute)) {
		t.Errorf("%q, edited %v", m.Text, m.EditedAt)
	}
	for id, before := range map[string]string{"e1": "the cake", "e3": "the birthday cake"} {
		if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_updates WHERE provider_event = $1 AND before->>'text' = $2 AND message_id = $3`, id, before, m.ID); n != 1 {
			t.Errorf("%s did not keep %q", id, before)
		}
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_updates WHERE provider_event = 'e2' AND before IS NULL AND message_id = $1`, m.ID); n != 1 {
		t.Error("the late edit is not in the history")
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_media WHERE message_id = $1 AND ref = 'two'`, m.ID); n != 1 {
		t.Error("the new file is not to be fetched")
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_media`); n != 1 {
		t.Errorf("%d files", n)
	}
}

// What another program sent is edited, read and fails like what we sent, without
// a delivery; early events wait for it.
func TestChangesOfWhatTheBusinessWroteElsewhere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	status := func(message int, name events.StatusName) events.Inbound {
		ev := w.change(1, message, events.StatusChanged, fmt.Sprint(message, name))
		ev.Status = &events.Status{Name: name, Code: "5.1.1", Words: "no such mailbox"}
		return ev
	}
	edit := w.ours(1, 1, "from nine")
	edit.Kind, edit.ProviderEvent = events.Edit, "edit"
	w.publish(status(2, events.Failed), w.ours(1, 1, "from eigth"), edit, status(1, events.Delivered), status(1, events.Read), w.ours(1, 2, "hello?"))
	w.route()
	w.drained()
	w.publish(again(status(1, events.Read)), again(edit))
	got := totals(w.drained())
	if got.Persisted != 6 || got.Duplicate != 2 {
		t.Errorf("persisted %d, duplicates %d", got.Persisted, got.Duplicate)
	}
	ms := w.messages(w.tenant, w.chats(w.tenant)[0].ID)
	if len(ms) != 2 || ms[0].Text != "from nine" || ms[0].ReadAt == nil || ms[1].ReadAt != nil || ms[0].Delivery != nil {
		t.Errorf("%+v", ms)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_updates WHERE message_id IS NULL OR applied_at IS NULL`); n != 0 {
		t.Errorf("%d changes found no message", n)
	}
	w.audit()
}

// One of the parts that our message was sent in does not replace all of it.
func TestEditOfAPartIsHistory(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	w.store(w.text(1, 1, "hello"))
	user, err := w.db.EnsureOperator(w.ctx, w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	chat := w.chats(w.tenant)[0].ID
	m, err := w.db.Reply(w.ctx, store.Reply{Tenant: w.tenant, Chat: chat, Text: "a long answer", User: user.ID, Seen: 1})
	if err != nil {
		t.Fatal(err)
	}
	storetest.Exec(t, w.url, `UPDATE parley_deliveries SET parts = 2, parts_sent = 2, state = 'sent'`)
	storetest.Exec(t, w.url, `
		INSERT INTO parley_attempts (delivery_id, part, attempt, tenant_id, channel_id, ref, epoch, outcome, provider_chat, provider_id)
		SELECT d.id, p, 1, d.tenant_id, d.channel_id, gen_random_uuid(), 1, 'sent', '1', (2 + p)::text FROM parley_deliveries d, generate_series(0, 1) p`)
	edit := w.ours(1, 3, "answer")
	edit.Kind, edit.ProviderEvent = events.Edit, "edit"
	reaction := w.change(1, 3, events.Reacted, "reaction")
	reaction.Reaction = &events.Reaction{Emoji: []string{"👍"}}
	w.store(edit, reaction)
	if got := w.messages(w.tenant, chat)[1]; got.Text != "a long answer" || got.EditedAt != nil {
		t.Errorf("%+v", got)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_updates WHERE message_id = $1`, m.ID); n != 2 {
		t.Errorf("%d in the history", n)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_reactions WHERE message_id = $1`, m.ID); n != 1 {
		t.Errorf("%d reactions", n)
	}
}

// Who writes after a provider refused to deliver to them can be written to again;
// who opted out cannot, whatever they write, until they opt in again.
func TestWhoWritesIsReachable(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	w.store(w.text(1, 1, "hello"))
	reachability := func(id, reason string, blocked bool) events.Inbound {
		ev := w.change(1, 0, events.Reachability, id)
		ev.Key, ev.Blocked, ev.Reason = events.MessageKey{}, blocked, reason
		return ev
	}
	is := func(when string, reachable bool) {
		t.Helper()
		if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_chat_members WHERE client_id IS NOT NULL AND (unreachable_at IS NULL) = $1
			AND (unreachable_why IS NULL) = $1`, reachable); n != 1 {
			t.Errorf("%s: not reachable %v", when, reachable)
		}
	}
	refuse := func(optedOut bool) {
		storetest.Exec(t, w.url, `UPDATE crm_chat_members SET unreachable_at = now(), unreachable_why = 'They blocked the bot.', opted_out = $1`, optedOut)
	}
	early := w.text(1, 2, "written before, stored after")
	refuse(false)
	w.store(early)
	is("after a message from before the refusal", false)
	w.store(w.ours(1, 3, "from the phone"))
	is("after what the business wrote", false)
	w.store(w.text(1, 4, "here I am"))
	is("after a message", true)
	facts := storetest.Int(t, w.url, `SELECT count(*) FROM parley_facts WHERE noun = 'member' AND verb = 'reachable'`)
	if facts != 1 {
		t.Errorf("%d facts", facts)
	}
	refuse(true)
	w.store(w.text(1, 5, "why do you not answer?"))
	is("after a message of who opted out", false)
	w.store(reachability("start", "opted in again", false))
	is("after opting in again", true)
	w.store(reachability("stop", "opted out", true))
	w.store(w.text(1, 6, "STOP"))
	is("after opting out", false)
	w.store(reachability("start 2", "opted in again", false), w.text(1, 7, "START"))
	is("after opting in again", true)
	// Both in one batch, in either order.
	w.store(reachability("blocked", "", true), w.text(1, 8, "back again"))
	is("after blocking, unblocking and writing", true)
	w.store(w.text(1, 9, "goodbye"), reachability("blocked 2", "", true))
	is("after writing and blocking", false)
}

// The second and further files of an album that we sent are messages of their own
// at the provider: what happens to them happens to ours.
func TestReactionToAFileOfAnAlbum(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	w.store(w.text(1, 1, "hello"))
	user, err := w.db.EnsureOperator(w.ctx, w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	chat := w.chats(w.tenant)[0].ID
	m, err := w.db.Reply(w.ctx, store.Reply{Tenant: w.tenant, Chat: chat, Text: "three photos", User: user.ID, Seen: 1})
	if err != nil {
		t.Fatal(err)
	}
	early := w.change(1, 4, events.Reacted, "early")
	early.Reaction = &events.Reaction{Emoji: []string{"🎉"}}
	w.store(early)
	storetest.Exec(t, w.url, `INSERT INTO parley_attempts (delivery_id, part, attempt, tenant_id, channel_id, ref, epoch)
		SELECT id, 0, 1, tenant_id, channel_id, gen_random_uuid(), 1 FROM parley_deliveries`)
	storetest.Exec(t, w.url, `UPDATE parley_deliveries SET state = 'sending', parts = 1, attempts = 1`)
	err = w.db.SettleLate(w.ctx, []store.Settlement{{
		AttemptKey: store.AttemptKey{Delivery: m.Delivery.ID, Attempt: 1}, Channel: w.channel, Lane: "1",
		Outcome: store.AttemptSent, To: "sent", ProviderChat: "1", ProviderID: "2", Album: []string{"3", "4"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	reacted := func(emoji string) {
		t.Helper()
		if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_reactions WHERE message_id = $1 AND emoji[1] = $2`, m.ID, emoji); n != 1 {
			t.Errorf("%s is not on the message", emoji)
		}
	}
	reacted("🎉")
	later := w.change(1, 3, events.Reacted, "later")
	later.Reaction = &events.Reaction{Emoji: []string{"👍"}}
	w.store(later)
	reacted("👍")
	// A caption edited elsewhere, and the account's own echo, are no new message.
	edit, echo := w.ours(1, 3, "another caption"), w.ours(1, 4, "three photos")
	edit.Kind, edit.ProviderEvent = events.Edit, "edit"
	if res := w.store(edit, echo); res.Outcomes[1] != store.Duplicate {
		t.Errorf("the echo was %s", res.Outcomes[1])
	}
	if ms := w.messages(w.tenant, chat); len(ms) != 2 || ms[1].Text != "three photos" {
		t.Errorf("%+v", ms)
	}
}
