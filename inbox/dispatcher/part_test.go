package dispatcher_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"parley/events"
	"parley/store/outboundtest"
	"parley/transports"
)

// parts are what a provider was given, whether it took them or not.
func offered(p *provider, answer func(n int64) error) func() []transports.Outbound {
	var n atomic.Int64
	all := make(chan transports.Outbound, 100)
	p.script = func(_ context.Context, part transports.Outbound) error {
		all <- part
		return answer(n.Add(1))
	}
	return func() (list []transports.Outbound) {
		for len(all) > 0 {
			list = append(list, <-all)
		}
		return list
	}
}

// A mail has the head that was stored before it left: the same Message-ID for
// each attempt, and one of its own for each further part.
func TestMailsKeepTheirMessageIDOverAttempts(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 1)
	id := w.QueueTexts(ch.ID, "p1", "one two")[0]
	w.Exec(`UPDATE crm_chat_messages SET content = content || '{"type": "email", "topic": "9", "mail": {"subject": "Re: Bread",
		"from": {"address": "shop@y.org"}, "to": [{"name": "Ada", "address": "ada@x.org"}], "cc": [{"address": "bob@x.org"}],
		"message_id": "m1@y.org", "in_reply_to": ["2@x"], "references": ["1@x", "2@x"], "chat_token": "42"}}' WHERE direction = 'out'`)
	p := newProvider()
	p.caps.Mail, p.caps.MaxText, p.caps.HarmlessResend = true, 4, true
	got := offered(p, func(n int64) error {
		if n == 1 {
			return &transports.SendError{Outcome: transports.Unknown, Words: "The connection was lost after DATA."}
		}
		return nil
	})
	dispatch(w, p)
	w.Until("it is sent", func() bool { return w.State(id) == "sent" })
	list := got()
	if len(list) != 3 {
		t.Fatalf("%d requests", len(list))
	}
	for i, want := range []string{"m1@y.org", "m1@y.org", "m1.1@y.org"} {
		m := list[i].Mail
		if m == nil || m.MessageID != want || m.Subject != "Re: Bread" || m.InReplyTo != "2@x" || strings.Join(m.References, " ") != "1@x 2@x" ||
			m.ReplyToken != "42" || m.To[0].Name != "Ada" || m.Cc[0].Address != "bob@x.org" || list[i].Topic != "9" {
			t.Errorf("request %d: %+v, topic %q", i, m, list[i].Topic)
		}
	}
}

// The files of an album stay together when only the rest of a message is tried
// again.
func TestAlbumsStayTogetherOverAttempts(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 1)
	p := newProvider()
	p.caps.MaxCaption, p.caps.Album = 100, 2
	p.caps.Attachments = map[events.ContentType]int64{events.Photo: 1000}
	got := offered(p, func(n int64) error {
		if n == 2 {
			return &transports.SendError{Outcome: transports.Retry, Words: "The network was down."}
		}
		return nil
	})
	var id int64
	// Queued whole: the dispatcher must not see it without its files.
	w.Row(`WITH m AS (
		    INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, direction, content, channel_id)
		    SELECT tenant_id, chat_id, id, '[photo]', 'out', '{"type": "photo"}', channel_id FROM crm_chat_members RETURNING id, tenant_id, chat_id, sender_id, channel_id
		), u AS (
		    INSERT INTO core_uploads (tenant_id, blob_key, name, mime_type, size)
		    SELECT m.tenant_id, 'k' || i, i || '.jpg', 'image/jpeg', 10 FROM m, generate_series(1, 4) i RETURNING id, tenant_id
		), a AS (
		    INSERT INTO crm_chat_message_attachments (tenant_id, message_id, upload_id) SELECT u.tenant_id, m.id, u.id FROM m, u ORDER BY u.id
		)
		INSERT INTO parley_deliveries (tenant_id, message_id, chat_id, channel_id, member_id, lane)
		SELECT tenant_id, id, chat_id, channel_id, sender_id, 'p1' FROM m RETURNING id`, nil, &id)
	dispatch(w, p)
	w.Until("it is sent", func() bool { return w.State(id) == "sent" })
	var names []string
	for _, part := range got() {
		var files []string
		files = append(files, part.Attachment.Name)
		for _, f := range part.Album {
			files = append(files, f.Name)
		}
		names = append(names, strings.Join(files, "+"))
	}
	if fmt.Sprint(names) != "[1.jpg+2.jpg 3.jpg+4.jpg 3.jpg+4.jpg]" {
		t.Errorf("sent %v", names)
	}
}
