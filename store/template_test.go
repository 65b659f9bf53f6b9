package store_test

import (
	"sync"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

func TestTemplateIsAddedChangedAndRemoved(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	n := store.NewMessageTemplate{
		Name: "Shipped", Text: "Hello {{first_name|there}}, {{order}} is on its way.", Key: "k",
		Approved: []inbox.ApprovedTemplate{{ID: "HX1", Variables: map[string]string{"1": "{{order}}"}}, {Channel: w.channel, ID: "HX2"}},
	}
	// However often it is asked for at once, there is one.
	var wg sync.WaitGroup
	ids := make([]int64, 8)
	for i := range ids {
		wg.Go(func() {
			m, err := w.db.AddMessageTemplate(t.Context(), w.tenant, n)
			if err != nil {
				t.Error(err)
			}
			ids[i] = m.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == 0 {
			t.Fatalf("templates %v", ids)
		}
	}
	m, err := w.db.MessageTemplate(t.Context(), w.tenant, ids[0])
	if err != nil || len(m.Variables) != 2 || m.Version != 1 || len(m.Approved) != 2 {
		t.Fatalf("%+v, %v", m, err)
	}
	other := n
	other.Text = "something else"
	_, err = w.db.AddMessageTemplate(t.Context(), w.tenant, other)
	wantCode(t, err, inbox.Conflict) // the key
	other.Key, other.Name = "", "SHIPPED"
	_, err = w.db.AddMessageTemplate(t.Context(), w.tenant, other)
	wantCode(t, err, inbox.Conflict) // the name

	changed, err := w.db.ChangeMessageTemplate(t.Context(), w.tenant, m.ID, 1, store.MessageTemplateChange{Text: new("Gone.")})
	if err != nil || changed.Version != 2 || changed.Text != "Gone." || changed.Name != "Shipped" || len(changed.Variables) != 1 {
		t.Fatalf("%+v, %v", changed, err)
	}
	_, err = w.db.ChangeMessageTemplate(t.Context(), w.tenant, m.ID, 1, store.MessageTemplateChange{Text: new("Lost.")})
	wantCode(t, err, inbox.Changed)
	for name, bad := range map[string]store.MessageTemplateChange{
		"no text": {Text: new(" ")}, "no name": {Name: new("")}, "broken": {Text: new("{{first_name")},
		"broken variable": {Approved: &[]inbox.ApprovedTemplate{{ID: "HX", Variables: map[string]string{"1": "{{"}}}},
		"twice":           {Approved: &[]inbox.ApprovedTemplate{{ID: "HX"}, {ID: "HY"}}},
	} {
		_, err := w.db.ChangeMessageTemplate(t.Context(), w.tenant, m.ID, 0, bad)
		t.Log(name)
		wantCode(t, err, inbox.Invalid)
	}
	wantCode(t, w.db.RemoveMessageTemplate(t.Context(), w.tenant, m.ID, 1), inbox.Changed)
	if err := w.db.RemoveMessageTemplate(t.Context(), w.tenant, m.ID, 2); err != nil {
		t.Fatal(err)
	}
	_, err = w.db.MessageTemplate(t.Context(), w.tenant, m.ID)
	wantCode(t, err, inbox.NotFound)

	// What another program wrote is listed, though it has no name.
	w.exec("INSERT INTO crm_message_templates (tenant_id, template) VALUES ($1, 'We open at {{nine')", string(w.tenant))
	list, err := w.db.MessageTemplates(t.Context(), w.tenant, 0, 10)
	if err != nil || len(list) != 1 || list[0].Name != "" || list[0].Text != "We open at {{nine" {
		t.Fatalf("%+v, %v", list, err)
	}
}

// Outside the window the approved template goes instead of the text, within it the
// text; a repeated request is the same reply.
func TestReplyGoesAsTheApprovedTemplate(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	r := w.reply(chat, "Hello there")
	window := inbox.Abilities{ReplyWindow: 24 * time.Hour, Templates: true}
	r.Can = map[events.ChannelID]inbox.Abilities{w.channel: window}
	r.Approved = map[events.ChannelID]*inbox.Template{"": {ID: "HX1", Variables: map[string]string{"1": "there"}}}
	stored := func(id int64) int64 {
		return w.int("SELECT count(*) FROM parley_deliveries WHERE message_id = $1 AND template->>'id' = 'HX1' AND template->'variables'->>'1' = 'there'", id)
	}
	if m := w.mustReply(r); stored(m.ID) != 0 {
		t.Error("within the window the template goes")
	}
	w.exec("UPDATE crm_chat_messages SET sent_at = sent_at - interval '25 hours' WHERE direction = 'in'")
	r = func() store.Reply { again := r; again.Seen, again.Key = 2, "k"; return again }()
	m := w.mustReply(r)
	if stored(m.ID) != 1 || m.Text != "Hello there" {
		t.Errorf("outside the window goes %+v", m)
	}
	if again := w.mustReply(r); again.ID != m.ID {
		t.Errorf("the same request made message %d, the first %d", again.ID, m.ID)
	}
	r.Key, r.Approved = "", nil
	_, err := w.db.Reply(t.Context(), r)
	wantCode(t, err, inbox.Refused)
}
