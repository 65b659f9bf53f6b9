package store_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// mailOf is the head that a message was stored with.
func (w *deskWorld) mailOf(m inbox.Message) events.Mail {
	w.t.Helper()
	if m.Content == nil || m.Content.Mail == nil || m.Kind != string(events.Letter) {
		w.t.Fatalf("message %d is no mail: %+v", m.ID, m)
	}
	return *m.Content.Mail
}

// A reply by mail answers the client's last mail, or the one that it names, in
// its thread; whoever replies may say otherwise.
func TestRepliesByMailAnswerAMail(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	w.exec("UPDATE parley_channels SET account = 'shop@y.org'")
	chat := w.says(1, "first")
	w.says(1, "second")
	head := func(seq int, m events.Mail) {
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		w.exec("UPDATE crm_chat_messages SET content = jsonb_set(content, '{mail}', $1) WHERE seq = $2", string(text), seq)
	}
	ada, bob := events.MailAddress{Name: "Ada", Address: "ada@x.org"}, events.MailAddress{Address: "bob@x.org"}
	shop := events.MailAddress{Address: "Shop@Y.org"}
	head(1, events.Mail{Subject: "Bread", From: ada, To: []events.MailAddress{shop}, MessageID: "1@x"})
	head(2, events.Mail{Subject: "Re: Cake", From: ada, To: []events.MailAddress{shop}, Cc: []events.MailAddress{bob}, MessageID: "2@x", References: []string{"0@x"}})
	mail := func(adjust func(*store.Reply)) inbox.Message {
		t.Helper()
		r := w.reply(chat, "Yes.")
		r.Can = map[events.ChannelID]inbox.Abilities{w.channel: {Mail: true}}
		if adjust != nil {
			adjust(&r)
		}
		return w.mustReply(r)
	}

	last := mail(nil)
	got := w.mailOf(last)
	if got.Subject != "Re: Cake" || len(got.To) != 1 || got.To[0] != ada || len(got.Cc) != 1 || got.Cc[0] != bob ||
		strings.Join(got.References, " ") != "0@x 2@x" || strings.Join(got.InReplyTo, " ") != "2@x" ||
		got.ChatToken != strconv.FormatInt(chat, 10) || !strings.HasSuffix(got.MessageID, "@y.org") || got.From.Address != "shop@y.org" {
		t.Errorf("the last is answered by %+v", got)
	}
	first := w.int("SELECT id FROM crm_chat_messages WHERE seq = 1")
	named := w.mailOf(mail(func(r *store.Reply) { r.ReplyTo = first }))
	if named.Subject != "Re: Bread" || named.InReplyTo[0] != "1@x" || len(named.Cc) != 0 || named.MessageID == got.MessageID {
		t.Errorf("the first is answered by %+v", named)
	}
	own := w.mailOf(mail(func(r *store.Reply) { r.ReplyTo = last.ID }))
	if own.InReplyTo[0] != got.MessageID || own.To[0] != ada || len(own.Cc) != 1 || strings.Join(own.References, " ") != "0@x 2@x "+got.MessageID {
		t.Errorf("our own is followed up by %+v", own)
	}
	w.exec(`UPDATE parley_channels SET account = NULL, settings = '{"address": "shop@y.org"}'`)
	if got := w.mailOf(mail(func(r *store.Reply) { r.ReplyTo = first })); got.From.Address != "shop@y.org" || len(got.Cc) != 0 {
		t.Errorf("from a mailbox that was never checked: %+v", got)
	}
	set := w.mailOf(mail(func(r *store.Reply) {
		r.Mail = &store.ReplyMail{Subject: "Invoice", To: []events.MailAddress{bob}, Cc: []events.MailAddress{}}
	}))
	if set.Subject != "Invoice" || len(set.To) != 1 || set.To[0] != bob || len(set.Cc) != 0 || set.InReplyTo[0] != "2@x" {
		t.Errorf("as said it is %+v", set)
	}

	r := w.reply(chat, "Yes.")
	r.Can = map[events.ChannelID]inbox.Abilities{w.channel: {}}
	r.Mail = &store.ReplyMail{Subject: "x"}
	_, err := w.db.Reply(t.Context(), r)
	wantCode(t, err, inbox.Refused)
	for _, bad := range []store.ReplyMail{{Subject: "a\r\nBcc: b"}, {Subject: strings.Repeat("x", 1000)}, {To: make([]events.MailAddress, 51)}} {
		r.Mail = &bad
		_, err := w.db.Reply(t.Context(), r)
		wantCode(t, err, inbox.Invalid)
	}
}

// Without a mail to answer, the client is written to and the text's first line
// is the subject.
func TestAFirstMailHasASubject(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	r := w.reply(chat, "Your order\nis ready.")
	r.Can = map[events.ChannelID]inbox.Abilities{w.channel: {Mail: true}}
	got := w.mailOf(w.mustReply(r))
	if got.Subject != "Your order" || len(got.To) != 1 || got.To[0].Address != "1" || got.InReplyTo != nil || !strings.HasSuffix(got.MessageID, "@parley.invalid") {
		t.Errorf("it is %+v", got)
	}
}

// The topic of the message answered is the reply's.
func TestRepliesStayInTheirTopic(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	w.exec(`UPDATE crm_chat_messages SET content = content || '{"topic": "7"}'`)
	r := w.reply(chat, "hi")
	r.ReplyTo = w.int("SELECT id FROM crm_chat_messages WHERE seq = 1")
	if m := w.mustReply(r); m.Content.Topic != "7" || m.Content.ReplyTo == nil {
		t.Errorf("it is %+v", m.Content)
	}
	if m := w.mustReply(w.reply(chat, "hi")); m.Content.Topic != "" {
		t.Errorf("without one it is %+v", m.Content)
	}
}
