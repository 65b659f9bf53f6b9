package inbox_test

import (
	"testing"

	"parley/events"
	"parley/inbox"
)

func TestNoAutomaticReply(t *testing.T) {
	t.Parallel()
	own := []string{"Shop@example.org"}
	for _, test := range []struct {
		from string
		mail events.Mail
		may  bool
	}{
		{from: "ada@x.org", may: true},
		{from: "ada@x.org", mail: events.Mail{DMARC: "pass"}, may: true},
		{from: "request@x.org", may: true},
		{from: "requester-ada@x.org", may: true},
		{from: "ada@x.org", mail: events.Mail{DMARC: "fail"}},
		{from: "ada@x.org", mail: events.Mail{Automatic: "auto-replied"}},
		{from: "ada@x.org", mail: events.Mail{Automatic: "list"}},
		{from: "shop@example.org"},
		{from: "shop+42.token@example.org"},
		{from: ""},
		{from: "MAILER-DAEMON@x.org"},
		{from: "no-reply@x.org"},
		{from: "NoReply+7@x.org"},
		{from: "do_not_reply@x.org"},
		{from: "orders.noreply@x.org"},
		{from: "owner-bakers@lists.x.org"},
		{from: "bakers-request@lists.x.org"},
		{from: "bounce-77@x.org"},
		// The identity is one thing and the head another: both count.
		{from: "ada@x.org", mail: events.Mail{From: events.MailAddress{Address: "noreply@x.org"}}},
	} {
		if test.mail.From.Address == "" {
			test.mail.From.Address = test.from
		}
		why := inbox.NoAutomaticReply(&events.Content{Type: events.Letter, Mail: &test.mail}, test.from, own)
		if (why == "") != test.may {
			t.Errorf("%s %+v: %q", test.from, test.mail, why)
		}
	}
	for _, c := range []*events.Content{nil, {Type: events.Text, Text: "hello"}} {
		if why := inbox.NoAutomaticReply(c, "7", own); why != "" {
			t.Errorf("a chat message: %q", why)
		}
	}
}
