package email_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
	"parley/transports/email"
	"parley/transports/sandbox"
)

// TestStandIn is a conversation with the local stand-in, of which a mailbox is
// to notice nothing.
func TestStandIn(t *testing.T) {
	t.Parallel()
	s, m := standIn(t)
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

// standIn is a stand-in with a mailbox on it.
func standIn(t *testing.T) (*sandbox.Mail, *email.Mailbox) {
	t.Helper()
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
	return s, newMailbox(t, settings, direct)
}

// TestStandInFaults holds outcomes against what the stand-in really took, and sees
// mails come twice and in another order.
func TestStandInFaults(t *testing.T) {
	t.Parallel()
	s, m := standIn(t)
	for _, test := range []struct {
		fault string
		want  transports.Outcome
		taken int
	}{
		{"refuse_4xx", transports.Retry, 0},
		{"refuse_5xx", transports.Rejected, 0},
		{"cut_before", transports.Unknown, 0},
		{"cut_after", transports.Unknown, 1},
		{"half_close_after", transports.Unknown, 1},
		{"hang_after", transports.Unknown, 1},
	} {
		s.SetFaults(sandbox.MailFaults{Next: []string{test.fault}})
		before := len(s.Sent())
		ctx, cancel := context.WithCancel(t.Context())
		if test.fault == "hang_after" {
			// It gives up once the stand-in has it.
			go func() {
				for len(s.Sent()) == before && ctx.Err() == nil {
					runtime.Gosched()
				}
				cancel()
			}()
		}
		_, err := m.Send(ctx, transports.Outbound{
			To: "anna@example.org", Part: transports.Part{Text: "Ja."}, Mail: &transports.MailHead{Subject: "x", MessageID: test.fault + "@example.com"},
		})
		cancel()
		var e *transports.SendError
		if !errors.As(err, &e) || e.Outcome != test.want || len(s.Sent())-before != test.taken {
			t.Errorf("%s: %v, %d were taken", test.fault, err, len(s.Sent())-before)
		}
	}
	s.SetFaults(sandbox.MailFaults{})
	p := startPolling(t, m, "")
	for range 2 {
		p.begun()
	}
	s.SetFaults(sandbox.MailFaults{Copies: 2, Reorder: 1})
	for _, text := range []string{"one", "two", "three"} {
		if _, err := s.Write(sandbox.Letter{From: "anna@example.org", Subject: text, Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	s.SetFaults(sandbox.MailFaults{}) // what waits for a fourth comes
	var got []string
	keys := map[events.MessageKey]bool{}
	for _, ev := range p.next(5) {
		got, keys[ev.Key] = append(got, ev.Content.Text), true
	}
	if strings.Join(got, " ") != "two two one one three" || len(keys) != 3 {
		t.Errorf("it got %q under %d keys", got, len(keys))
	}
	p.end()
}
