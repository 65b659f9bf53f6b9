package email_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	gomail "github.com/emersion/go-message/mail"

	"parley/events"
	"parley/transports"
)

// startPost starts a Dovecot and a Postfix that belong together, with the
// settings of a mailbox there.
func startPost(t testing.TB) (*dovecot, *postfix, map[string]string) {
	t.Helper()
	auth := freePort(t)
	d := startDovecot(t, fmt.Sprintf("recipient_delimiter = +\nservice auth {\n inet_listener sasl {\n  port = %d\n }\n}\n", auth))
	p := startPostfix(t, d, auth)
	return d, p, d.settings(map[string]string{
		"smtp": fmt.Sprintf("127.0.0.1:%d", p.smtp), "smtp_security": "starttls", "ca": p.certificate,
	})
}

// inboxOf waits for the first mail of somebody else's mailbox, and returns it as
// the server keeps it.
func inboxOf(t testing.TB, d *dovecot, who string) string {
	t.Helper()
	news := make(chan struct{}, 1)
	c, err := imapclient.DialInsecure(fmt.Sprintf("127.0.0.1:%d", d.imap), &imapclient.Options{
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(is *imapclient.UnilateralDataMailbox) {
			if is.NumMessages != nil && *is.NumMessages > 0 {
				select {
				case news <- struct{}{}:
				default: // told already
				}
			}
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Login(who, password).Wait(); err != nil {
		t.Fatal(err)
	}
	data, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if data.NumMessages == 0 {
		idle, err := c.Idle()
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-news:
		case <-time.After(waitTime):
			t.Fatalf("nothing arrived at %s", who)
		}
		if err := errors.Join(idle.Close(), idle.Wait()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{}}}).Collect()
	if err != nil || len(got) != 1 || len(got[0].BodySection) != 1 {
		t.Fatalf("%d mails, %v", len(got), err)
	}
	return string(got[0].BodySection[0].Bytes)
}

// TestConversation is a mail, the answer to it and the answer to that, each
// through SMTP, LMTP and IMAP.
func TestConversation(t *testing.T) {
	t.Parallel()
	d, _, settings := startPost(t)
	settings["save_sent"] = "on"
	m := newMailbox(t, settings, direct)
	if report, err := m.Check(t.Context()); err != nil || report.Account != ownAddress || report.LastError != "" {
		t.Fatalf("%+v, %v", report, err)
	}
	p := startPolling(t, m, "")
	for range 2 {
		p.begun()
	}
	d.deliver(t, letter(1, "When do you open?"))
	asked := p.next(1)[0].Content.Mail

	out := transports.Outbound{
		To: "anna@example.org", Ref: "attempt-1",
		Part: transports.Part{
			Text: "Größe: 5 € – um neun.\n.\nFrom here on\n-- \nThe Office",
			Attachment: &transports.File{
				Kind: events.Document, Name: "Preise für März.pdf", MIME: "application/pdf", Size: 4,
				Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("%PDF")), nil },
			},
		},
		Mail: &transports.MailHead{
			Subject: "Re: " + asked.Subject + " – Größe", To: []events.MailAddress{{Name: "Anna Lönn", Address: "anna@example.org"}},
			Cc: []events.MailAddress{{Address: "boss@example.org"}}, MessageID: "ours-1@example.com",
			InReplyTo: asked.MessageID, References: append(asked.References, asked.MessageID), ReplyToken: "chat-42",
		},
	}
	receipt, err := m.Send(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	if receipt.ProviderID != "ours-1@example.com" || receipt.Chat != "mail" {
		t.Errorf("the receipt is %+v", receipt)
	}
	if len(inboxOf(t, d, "boss@example.org")) == 0 {
		t.Error("the other recipient got nothing")
	}
	delivered := inboxOf(t, d, "anna@example.org")
	r, err := gomail.CreateReader(strings.NewReader(delivered))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Message-Id": "<ours-1@example.com>", "In-Reply-To": "<mail-1@example.org>", "References": "<mail-1@example.org>",
		"From": `"The Office" <office@example.com>`, "Cc": "<boss@example.org>", "Mime-Version": "1.0",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got, err := r.Header.Subject(); err != nil || got != out.Mail.Subject {
		t.Errorf("the subject is %q, %v", got, err)
	}
	text, err := r.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(text.Body); err != nil || strings.TrimSuffix(strings.ReplaceAll(string(got), "\r\n", "\n"), "\n") != out.Text {
		t.Errorf("the text is %q, %v", got, err)
	}
	file, err := r.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	name, err := file.Header.(*gomail.AttachmentHeader).Filename()
	if got, _ := io.ReadAll(file.Body); err != nil || name != "Preise für März.pdf" || string(got) != "%PDF" {
		t.Errorf("the file is %q %q, %v", name, got, err)
	}
	to, err := r.Header.AddressList("Reply-To")
	if err != nil || len(to) != 1 {
		t.Fatalf("answers go to %v, %v", to, err)
	}

	// She answers to where she was told to, in her own name.
	answer := transports.Outbound{
		To: to[0].Address, Part: transports.Part{Text: "Thanks!\n\nOn Mon, Office wrote 5:\n> Um neun."},
		Mail: &transports.MailHead{Subject: "Re: Mail 1", MessageID: "answer-1@example.org", InReplyTo: "ours-1@example.com"},
	}
	hers := map[string]string{}
	for k, v := range settings {
		hers[k] = v
	}
	hers["address"], hers["save_sent"] = "anna@example.org", "off"
	if _, err := newMailbox(t, hers, direct).Send(t.Context(), answer); err != nil {
		t.Fatal(err)
	}
	got := p.next(1)[0]
	if got.Content.Mail.ChatToken != "chat-42" || got.Person.Address != "anna@example.org" {
		t.Errorf("the answer is %+v", got.Content.Mail)
	}
	if key := got.Content.ReplyTo; key == nil || key.Message != receipt.ProviderID || key.Chat != receipt.Chat {
		t.Errorf("it answers %+v, not %+v", key, receipt)
	}
	if q := got.Content.Mail.Quoted; q == 0 || strings.TrimSpace(got.Content.Text[:q]) != "Thanks!" {
		t.Errorf("new is %q", got.Content.Text[:q])
	}

	// What was sent is in the Sent folder, read, and known there as ours.
	p.end()
	again := startPolling(t, newMailbox(t, d.settings(nil), direct), p.at())
	if ev := again.next(1)[0]; ev.Kind != events.Ignored || ev.Key.Message != "ours-1@example.com" {
		t.Errorf("the copy in the Sent folder: %+v", ev)
	}
	again.end()
}

// TestBounce sends to somebody whom their server does not know, and gets
// Postfix's report.
func TestBounce(t *testing.T) {
	t.Parallel()
	_, _, settings := startPost(t)
	m := newMailbox(t, settings, direct)
	p := startPolling(t, m, "")
	for range 2 {
		p.begun()
	}
	_, err := m.Send(t.Context(), transports.Outbound{
		To: "nobody@unknown.example", Part: transports.Part{Text: "hello?"}, Mail: &transports.MailHead{Subject: "x", MessageID: "ours-2@example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ev := p.next(1)[0]
	if ev.Kind != events.StatusChanged || ev.Key != (events.MessageKey{Chat: "mail", Message: "ours-2@example.com"}) ||
		ev.Status.Name != events.Failed || ev.Status.Code != "5.1.1" || !strings.Contains(ev.Status.Words, "nobody knows this person") ||
		ev.Person.Identity.Value != "nobody@unknown.example" {
		t.Errorf("the bounce is %+v, %+v", ev, ev.Status)
	}
	p.end()
}

// TestLargeMail carries far more bytes than any buffer holds, there and back.
func TestLargeMail(t *testing.T) {
	t.Parallel()
	_, _, settings := startPost(t)
	m := newMailbox(t, settings, direct)
	p := startPolling(t, m, "")
	for range 2 {
		p.begun()
	}
	limit := m.Capabilities().Attachments[events.Document] / 3
	out := transports.Outbound{To: ownAddress, Part: transports.Part{Attachment: &transports.File{
		Kind: events.Document, Name: "large.bin", MIME: "application/octet-stream", Size: limit,
		Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(io.LimitReader(endless{}, limit)), nil
		},
	}}}
	if _, err := m.Send(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	// It comes back to the mailbox itself.
	if ev := p.next(1)[0]; ev.Kind != events.Ignored {
		t.Errorf("our own mail is %+v", ev.Kind)
	}
	p.end()
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}
