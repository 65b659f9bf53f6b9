package email_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	gomail "github.com/emersion/go-message/mail"

	"parley/events"
	"parley/transports"
	"parley/transports/email"
)

func sendTo(t testing.TB, f *fakeSMTP, out transports.Outbound) (transports.Receipt, *transports.SendError) {
	t.Helper()
	m := newMailbox(t, map[string]string{"smtp": smtpAt}, pipes(t, map[string]func(net.Conn){smtpAt: f.serve}))
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	receipt, err := m.Send(ctx, out)
	if took := time.Since(began); out.Attachment == nil && took > 10*time.Second { // far below any of its own limits
		t.Errorf("took %v", took)
	}
	var e *transports.SendError
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("%v is no *SendError", err)
	}
	return receipt, e
}

// TestOutcomes wants each answer of a server to mean what it says, at each step.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	const retry, rejected, unknown = transports.Retry, transports.Rejected, transports.Unknown
	for name, c := range map[string]struct {
		answers                  map[string]string
		outcome                  transports.Outcome
		credentials, unreachable bool
		code, words              string
	}{
		"greeted with 421":        {map[string]string{"greeting": "421 4.3.2 shutting down"}, retry, false, false, "421 4.3.2", "takes no mail now"},
		"greeted with 554":        {map[string]string{"greeting": "554 5.7.1 no"}, retry, false, false, "554 5.7.1", "takes no mail now"},
		"closed at once":          {map[string]string{"greeting": closeIt}, retry, false, false, "", "could not be reached"},
		"silent from the start":   {map[string]string{"greeting": hang}, retry, false, false, "", "could not be reached"},
		"wrong password":          {map[string]string{"AUTH": "535 5.7.8 bad credentials"}, retry, true, false, "535 5.7.8", "user name or password"},
		"log-in not now":          {map[string]string{"AUTH": "454 4.7.0 try later"}, retry, false, false, "454 4.7.0", "takes no mail now"},
		"closed while logging in": {map[string]string{"AUTH": closeIt}, retry, false, false, "", "logging in"},
		"sender refused":          {map[string]string{"MAIL": "550 5.7.60 not as this sender"}, rejected, false, false, "550 5.7.60", "not as this sender"},
		"log-in wanted":           {map[string]string{"MAIL": "530 5.7.0 log in first"}, retry, true, false, "530 5.7.0", "log in first"},
		"quota":                   {map[string]string{"MAIL": "550 5.4.5 daily limit"}, retry, false, false, "550 5.4.5", "daily limit"},
		"nobody there":            {map[string]string{"RCPT": "550 5.1.1 no such user"}, rejected, false, true, "550 5.1.1", "anna@example.org: no such user"},
		"mailbox full":            {map[string]string{"RCPT": "452 4.2.2 full"}, retry, false, false, "452 4.2.2", "anna@example.org now: full"},
		"greylisted":              {map[string]string{"RCPT": "450 wait"}, retry, false, false, "450", "wait"},
		"relaying denied":         {map[string]string{"RCPT": "554 5.7.1 relay access denied"}, rejected, false, false, "554 5.7.1", "denied"},
		"closed before data":      {map[string]string{"DATA": closeIt}, retry, false, false, "", "could not be reached"},
		"no data":                 {map[string]string{"DATA": "451 4.3.0 disk"}, retry, false, false, "451 4.3.0", "disk"},
		"content refused":         {map[string]string{".": "554 5.7.1 spam"}, rejected, false, false, "554 5.7.1", "spam"},
		"content not now":         {map[string]string{".": "451 4.7.1 later"}, retry, false, false, "451 4.7.1", "later"},
		"lost after the data":     {map[string]string{".": closeIt}, unknown, false, false, "", "may have been sent"},
		"silent after the data":   {map[string]string{".": hang}, unknown, false, false, "", "may have been sent"},
		"nonsense after the data": {map[string]string{".": "hello"}, unknown, false, false, "", "may have been sent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, e := sendTo(t, &fakeSMTP{answers: c.answers}, transports.Outbound{To: "anna@example.org", Part: transports.Part{Text: "hello"}})
			if e == nil {
				t.Fatal("accepted")
			}
			if e.Outcome != c.outcome || e.Credentials != c.credentials || e.Unreachable != c.unreachable || e.Code != c.code || !strings.Contains(e.Words, c.words) {
				t.Errorf("%+v", e)
			}
			if name == "quota" && (e.Throttled != transports.AccountThrottled || e.RetryAfter == 0) {
				t.Errorf("%+v does not hold the account back", e)
			}
		})
	}
}

// TestAllOrNobody wants no mail to leave when one of its recipients is refused.
func TestAllOrNobody(t *testing.T) {
	t.Parallel()
	f := &fakeSMTP{answers: map[string]string{"RCPT TO:<b@example.org>": "550 5.1.1 unknown"}}
	out := transports.Outbound{To: "a@example.org", Part: transports.Part{Text: "x"}, Mail: &transports.MailHead{
		To: []events.MailAddress{{Address: "a@example.org"}}, Cc: []events.MailAddress{{Address: "b@example.org"}}, MessageID: "1@example.com",
	}}
	_, e := sendTo(t, f, out)
	if e == nil || e.Outcome != transports.Rejected || !strings.Contains(e.Words, "b@example.org") || e.Unreachable {
		t.Errorf("%+v", e)
	}
	if f.said("DATA") || !f.said("RCPT TO:<a@example.org>") {
		t.Errorf("the server heard %q", f.lines)
	}
}

// TestCompose looks at what leaves.
func TestCompose(t *testing.T) {
	t.Parallel()
	f := &fakeSMTP{}
	text := "Zeile eins\r\n.Punkt\n\n" + strings.Repeat("lang ", 500) + "\nÄ \x00 \xff €"
	out := transports.Outbound{To: "anna@bücher.example", Part: transports.Part{Text: text}, Mail: &transports.MailHead{
		Subject: "Grüße\r\nBcc: evil@example.org", To: []events.MailAddress{{Name: "Anna\r\nX: y", Address: "anna@bücher.example"}}, MessageID: "<id@example.com>",
		InReplyTo: "q@example.org>\r\nX-Evil: 1", References: []string{"a@b", "", "c@d"},
	}}
	receipt, e := sendTo(t, f, out)
	if e != nil {
		t.Fatal(e)
	}
	if receipt.ProviderID != "id@example.com" || receipt.Chat != email.Chat {
		t.Errorf("%+v", receipt)
	}
	if !f.said("RCPT TO:<anna@xn--bcher-kva.example>") || !f.said("MAIL FROM:<office@example.com> BODY=8BITMIME SIZE=") {
		t.Errorf("the server heard %q", f.lines)
	}
	mail := f.mails[0]
	for line := range strings.SplitSeq(mail, "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") || strings.ContainsFunc(line, func(r rune) bool { return r > 0x7E }) {
			t.Errorf("not a line of a mail: %q", line)
		}
	}
	r, err := gomail.CreateReader(strings.NewReader(mail))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Bcc", "X", "X-Evil", "Reply-To"} {
		if r.Header.Has(name) {
			t.Errorf("there is a %s: %s", name, r.Header.Get(name))
		}
	}
	if got, err := r.Header.Subject(); err != nil || got != "Grüße Bcc: evil@example.org" {
		t.Errorf("the subject is %q, %v", got, err)
	}
	if got := r.Header.Get("References"); got != "<a@b> <c@d>" {
		t.Errorf("References: %s", got)
	}
	part, err := r.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(part.Body)
	want := "Zeile eins\n.Punkt\n\n" + strings.Repeat("lang ", 500) + "\nÄ  \uFFFD €\n"
	if err != nil || strings.ReplaceAll(string(got), "\r\n", "\n") != want {
		t.Errorf("the text is %q, %v", got, err)
	}
	// Without a head there is one all the same, the same each time.
	plain := transports.Outbound{To: "anna@example.org", Ref: "r", Part: transports.Part{Text: "x"}}
	one, e1 := sendTo(t, &fakeSMTP{}, plain)
	two, e2 := sendTo(t, &fakeSMTP{}, plain)
	if e1 != nil || e2 != nil || one.ProviderID == "" || one.ProviderID != two.ProviderID {
		t.Errorf("%+v and %+v", one, two)
	}
}

// TestWholeMail wants the last boundary of a mail with files, without which a
// mail was cut off (RFC 2046, section 5.1.1).
func TestWholeMail(t *testing.T) {
	t.Parallel()
	f := &fakeSMTP{}
	file := transports.File{Kind: events.Document, Name: "a.bin", Size: 1, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("x")), nil
	}}
	if _, e := sendTo(t, f, transports.Outbound{To: "anna@example.org", Part: transports.Part{Text: "x", Attachment: &file}}); e != nil {
		t.Fatal(e)
	}
	r, err := gomail.CreateReader(strings.NewReader(f.mails[0]))
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for {
		part, err := r.NextPart()
		if err == io.EOF { //nolint:errorlint // as documented
			break
		}
		if err != nil {
			t.Fatalf("after %q: %v", parts, err)
		}
		content, err := io.ReadAll(part.Body)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, strings.TrimSpace(string(content)))
	}
	if want := []string{"x", "x"}; !slices.Equal(parts, want) {
		t.Errorf("the mail has %q", parts)
	}
}

// TestNeverSent wants words for what no server is asked to take.
func TestNeverSent(t *testing.T) {
	t.Parallel()
	huge := transports.File{Kind: events.Document, Name: "a", Size: -1, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(endless{}), nil
	}}
	for name, c := range map[string]struct {
		to      string
		file    *transports.File
		answers map[string]string
		words   string
	}{
		"no address":       {"anna", nil, nil, "not a mail address"},
		"unknown sender":   {"unknown-1@sender.invalid", nil, nil, "names no sender"},
		"no SMTPUTF8":      {"jörg@example.org", nil, map[string]string{"EHLO": "250-mx\r\n250 AUTH PLAIN"}, "letters beyond"},
		"too large":        {"anna@example.org", &huge, nil, "too large"},
		"server's limit":   {"anna@example.org", nil, map[string]string{"EHLO": "250-mx\r\n250-AUTH PLAIN\r\n250 SIZE 10"}, "server takes"},
		"two in one field": {"a@example.org, b@example.org", nil, nil, "not a mail address"},
	} {
		f := &fakeSMTP{answers: c.answers}
		_, e := sendTo(t, f, transports.Outbound{To: c.to, Part: transports.Part{Text: "x", Attachment: c.file}})
		if e == nil || e.Outcome != transports.Rejected || !strings.Contains(e.Words, c.words) {
			t.Errorf("%s: %+v", name, e)
		}
		if f.said("MAIL") {
			t.Errorf("%s: the server heard %q", name, f.lines)
		}
	}
}

// TestNewRefuses wants words for what cannot work.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ set, secrets map[string]string }{
		"address":       {set: map[string]string{"address": "office"}},
		"imap":          {set: map[string]string{"imap": ""}},
		"imap ":         {set: map[string]string{"imap": "https://imap.example.com", "imap_security": "tls"}},
		"smtp":          {set: map[string]string{"smtp": ""}},
		"imap_security": {set: map[string]string{"imap_security": "ssl"}},
		"smtp_security": {set: map[string]string{"smtp": "mail.example.com"}}, // none, beyond this machine
		"since":         {set: map[string]string{"since": "yesterday"}},
		"poll":          {set: map[string]string{"poll": "1800"}},
		"save_sent":     {set: map[string]string{"save_sent": "perhaps"}},
		"ca":            {set: map[string]string{"ca": "x"}},
		"password":      {secrets: map[string]string{}},
		"token_url":     {set: map[string]string{"client_id": "x", "token_url": "http://example.com"}, secrets: map[string]string{"refresh_token": "r"}},
		"client_id":     {set: map[string]string{"token_url": "https://example.com"}, secrets: map[string]string{"refresh_token": "r"}},
	} {
		a := account(c.set)
		if c.secrets != nil {
			a.Secrets = c.secrets
		}
		_, err := email.New(a)
		if err == nil || !strings.Contains(err.Error(), `"`+strings.TrimSpace(name)+`"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a := account(map[string]string{"imap": "imap.example.com", "imap_security": "", "smtp": "smtp.example.com:587", "smtp_security": "starttls"})
	if _, err := email.New(a); err != nil {
		t.Error(err)
	}
}
