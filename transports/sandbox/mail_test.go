package sandbox

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

func startMail(t *testing.T, opts MailOptions) (*Mail, MailAt) {
	t.Helper()
	m, err := NewMail(opts)
	if err != nil {
		t.Fatal(err)
	}
	at, err := m.Start(t.Context(), MailAt{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m, at
}

// submit sends a mail to anna, on a connection of its own.
func submit(at MailAt, raw string) error {
	c, err := smtp.Dial(at.SMTP)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.Auth(sasl.NewPlainClient("", DefaultMailAddress, DefaultMailPassword)); err != nil {
		return err
	}
	return c.SendMail(DefaultMailAddress, []string{"anna@people.example"}, strings.NewReader(raw))
}

const submitted = "From: office@sandbox.example\r\nTo: anna@people.example\r\nSubject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\r\n" +
	"Message-ID: <1@sandbox.example>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nJa.\r\n"

func TestMailFaults(t *testing.T) {
	t.Parallel()
	m, at := startMail(t, MailOptions{Faults: MailFaults{Next: []string{"refuse_4xx", "refuse_5xx", "cut_before", "cut_after", ""}}})
	for i, want := range []struct {
		code  int // 0 when no answer came
		taken int
	}{{451, 0}, {554, 0}, {0, 0}, {0, 1}, {250, 2}} {
		err := submit(at, submitted)
		var answer *smtp.SMTPError
		switch {
		case want.code == 250:
			if err != nil {
				t.Errorf("send %d: %v", i, err)
			}
		case errors.As(err, &answer):
			if answer.Code != want.code {
				t.Errorf("send %d: %v", i, err)
			}
		case err == nil || want.code != 0:
			t.Errorf("send %d: %v", i, err)
		}
		if n := len(m.Sent()); n != want.taken {
			t.Errorf("send %d: %d were taken", i, n)
		}
	}
	if next := m.Faults().Next; len(next) != 0 {
		t.Errorf("still to come: %q", next)
	}
	m.SetFaults(MailFaults{Refuse4xx: 1})
	if err := submit(at, submitted); err == nil {
		t.Error("a share of 1 lets mail pass")
	}
	for _, f := range []MailFaults{
		{Next: []string{"flood"}}, {Refuse4xx: 2}, {CutAfter: -1}, {Refuse4xx: 0.6, CutAfter: 0.6}, {DelayMS: -1},
	} {
		if _, err := NewMail(MailOptions{Faults: f}); err == nil {
			t.Errorf("%+v is taken", f)
		}
	}
}

// TestMailDelay closes a stand-in that holds an answer back for longer than
// anybody would wait.
func TestMailDelay(t *testing.T) {
	t.Parallel()
	m, at := startMail(t, MailOptions{Faults: MailFaults{DelayMS: int(time.Hour.Milliseconds())}})
	answered := make(chan error, 1)
	go func() { answered <- submit(at, submitted) }()
	for len(m.Sent()) == 0 {
		select {
		case err := <-answered:
			t.Fatalf("answered at once: %v", err)
		default:
		}
	}
	if err := m.Close(); err != nil {
		t.Log(err)
	}
	t.Logf("the sender ended with %v", <-answered) // closing ends it, whichever way
}

// idle is a connection in IDLE; told gets the number of mails at each change.
func idle(t *testing.T, at MailAt) (c *imapclient.Client, told chan uint32) {
	t.Helper()
	told = make(chan uint32, 10)
	c, err := imapclient.DialInsecure(at.IMAP, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				told <- *data.NumMessages
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(DefaultMailAddress, DefaultMailPassword).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Idle(); err != nil {
		t.Fatal(err)
	}
	return c, told
}

func TestMailIdle(t *testing.T) {
	t.Parallel()
	m, at := startMail(t, MailOptions{})
	anna, err := m.Person("anna")
	if err != nil {
		t.Fatal(err)
	}
	write := func() {
		t.Helper()
		if _, err := anna.Write("Order", "Hello"); err != nil {
			t.Fatal(err)
		}
	}
	c, told := idle(t, at)
	write()
	if n := <-told; n != 1 {
		t.Errorf("%d mails", n)
	}
	// Faults strike a connection that is in IDLE already.
	m.SetFaults(MailFaults{MuteIdle: true})
	write()
	m.SetFaults(MailFaults{})
	if n := <-told; n != 2 {
		t.Errorf("%d mails", n)
	}
	m.SetFaults(MailFaults{DropIdleMS: 1})
	<-c.Closed()
}

func TestMailPhone(t *testing.T) {
	t.Parallel()
	var ticks atomic.Int64
	m, at := startMail(t, MailOptions{Now: func() time.Time { return time.Unix(1_800_000_000+ticks.Add(1), 0) }})
	anna, err := m.Person("Anna")
	if err != nil {
		t.Fatal(err)
	}
	first, err := anna.Write("Größe", "Haben Sie das in 40?")
	if err != nil {
		t.Fatal(err)
	}
	answer := strings.Replace(submitted, "Message-ID", "In-Reply-To: <"+first+">\r\nMessage-ID", 1)
	if err := submit(at, answer); err != nil {
		t.Fatal(err)
	}
	if _, err := anna.Write("", "Danke!"); err != nil {
		t.Fatal(err)
	}
	shown := anna.Phone()
	if len(shown) != 3 {
		t.Fatalf("she sees %+v", shown)
	}
	if a := shown[1]; !a.FromBusiness || a.Subject != "Größe" || a.Text != "Ja." || a.InReplyTo != first {
		t.Errorf("the answer is %+v", a)
	}
	if a := shown[2]; a.FromBusiness || a.Subject != "Re: Größe" || a.InReplyTo != "1@sandbox.example" {
		t.Errorf("her answer is %+v", a)
	}
	bo, err := m.Person("bo@example.org")
	if err != nil {
		t.Fatal(err)
	}
	if shown := bo.Phone(); len(shown) != 0 || bo.Address() != "bo@example.org" {
		t.Errorf("bo sees %+v", shown)
	}
	for _, who := range []string{"", " ", "a@", "a@b@c", "<x>"} {
		if p, err := m.Person(who); err == nil {
			t.Errorf("%q is %s", who, p.Address())
		}
	}
}

func TestMailControlIsLocal(t *testing.T) {
	t.Parallel()
	_, at := startMail(t, MailOptions{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at.Control+"/sandbox/people", nil)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{at.Control: http.StatusOK, "evil.example": http.StatusNotFound} {
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s", host, res.Status)
		}
	}
}

// TestMailStartsWhereItWas keeps free addresses, and takes others when they are
// not.
func TestMailStartsWhereItWas(t *testing.T) {
	t.Parallel()
	m, at := startMail(t, MailOptions{})
	_, other := startAt(t, at)
	if other.IMAP == at.IMAP || other.SMTP == at.SMTP || other.Control == at.Control {
		t.Errorf("two listen at %+v and %+v", at, other)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, again := startAt(t, at); again != at {
		t.Errorf("it listens at %+v, was at %+v", again, at)
	}
	for _, addr := range []string{at.IMAP, at.SMTP} {
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
}

func startAt(t *testing.T, at MailAt) (*Mail, MailAt) {
	t.Helper()
	m, err := NewMail(MailOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at, err = m.Start(context.Background(), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m, at
}

func FuzzReadMail(f *testing.F) {
	f.Add([]byte(submitted))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nx\r\n--b--\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		kept := slices.Clone(raw)
		shown := readMail(raw)
		if !bytes.Equal(raw, kept) {
			t.Error("the mail was changed")
		}
		if len(shown.Files) > len(raw) {
			t.Errorf("%d files in %d bytes", len(shown.Files), len(raw))
		}
	})
}
