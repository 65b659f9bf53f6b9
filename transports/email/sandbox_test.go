package email_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
)

// TestStandIn is a conversation with the local stand-in, of which a mailbox is
// to notice nothing.
func TestStandIn(t *testing.T) {
	t.Parallel()
	s, err := sandbox.NewMail(sandbox.MailOptions{Address: ownAddress, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	var at [2]net.Listener
	for i := range at {
		if at[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(at[0], at[1]) }()
	t.Cleanup(func() {
		_ = s.Close()
		t.Log("the stand-in ended:", <-served)
	})
	settings := map[string]string{
		"imap": at[0].Addr().String(), "smtp": at[1].Addr().String(), "sent": "Sent", "save_sent": "on", "authserv_id": "sandbox.example",
	}
	m := newMailbox(t, settings, direct)
	if report, err := m.Check(t.Context()); err != nil || report.LastError != "" {
		t.Fatalf("%+v, %v", report, err)
	}
	p := startPolling(t, m, "")
	for range 2 {
		p.begun()
	}
	id, err := s.Write(sandbox.Letter{From: "Anna Lind <anna@example.org>", Subject: "Größe", Text: "Haben Sie das in 40?"})
	if err != nil {
		t.Fatal(err)
	}
	ev := p.next(1)[0]
	if ev.Content.Mail.MessageID != id || ev.Content.Text != "Haben Sie das in 40?" || ev.Content.Mail.DMARC != "pass" || ev.Person.FirstName != "Anna" {
		t.Errorf("%+v", ev.Content.Mail)
	}
	out := transports.Outbound{
		To: "anna@example.org", Part: transports.Part{Text: "Ja."},
		Mail: &transports.MailHead{Subject: "Re: Größe", MessageID: "ours-1@example.com", InReplyTo: id, ReplyToken: "7"},
	}
	if _, err := m.Send(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	sent := s.Sent()
	if len(sent) != 1 || len(sent[0].To) != 1 || sent[0].To[0] != "anna@example.org" {
		t.Fatalf("sent are %+v", sent)
	}
	if _, err := s.Answer(sent[0], "Danke!"); err != nil {
		t.Fatal(err)
	}
	ev = p.next(1)[0]
	if ev.Content.Mail.ChatToken != "7" || ev.Content.ReplyTo == nil || ev.Content.ReplyTo.Message != "ours-1@example.com" {
		t.Errorf("the answer is %+v", ev.Content)
	}

	for to, want := range map[string]transports.Outcome{"nobody@example.org": transports.Rejected, "busy@example.org": transports.Retry} {
		out.To = to
		_, err := m.Send(t.Context(), out)
		var e *transports.SendError
		if !errors.As(err, &e) || e.Outcome != want {
			t.Errorf("%s: %v", to, err)
		}
	}
	out.To, out.Mail.MessageID = "bounce@example.org", "ours-2@example.com"
	if _, err := m.Send(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	ev = p.next(1)[0]
	if ev.Kind != events.StatusChanged || ev.Key.Message != "ours-2@example.com" || ev.Status.Name != events.Failed || !strings.Contains(ev.Status.Words, "no such person") {
		t.Errorf("the bounce is %+v", ev)
	}
	p.end()
}
