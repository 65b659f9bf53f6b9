package email_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"parley/events"
	"parley/transports"
	"parley/transports/transporttest"
)

func TestConformance(t *testing.T) {
	from := func(from string) []byte {
		return []byte("From: " + from + "\r\nTo: office@example.com\r\nMessage-ID: <1@example.org>\r\n\r\nhello\r\n")
	}
	transporttest.Run(t, transporttest.Harness{
		Transport: events.Email,
		On:        on,
		Secrets:   []string{password, replyKey},
		To:        "anna@example.org",
		Mail:      &transports.MailHead{Subject: "hello", MessageID: "ours@example.com"},
		Message: func(n int, text string) []byte {
			return fmt.Appendf(nil, "From: Anna <anna@example.org>\r\nTo: office@example.com\r\nMessage-ID: <%d@example.org>\r\nSubject: x\r\n\r\n%s\r\n", n, text)
		},
		Polled:   polled,
		Recorded: transporttest.RecordedFiles(t, transporttest.MIME, "testdata/mails/*.eml"),
		Kept:     func(body []byte) (raw json.RawMessage) { return stored(t, inInbox, body) },
		Persons: map[string][][]byte{
			"Anna": {
				from("Anna <anna@example.org>"), from("anna@Example.ORG"), from(`"Lind, A." <anna@EXAMPLE.org>`),
				from("=?utf-8?Q?=C3=84nna?= <anna@example.org> (work)"),
			},
			// Only a server may fold the case of its own local parts (RFC 5321, section 2.4).
			"another Anna": {from("Anna <Anna@example.org>")},
			"Anna at work": {from("Anna <anna@mail.example.org>")},
			"nobody":       {from("Anna"), from("Anna <>")},
		},
		Lacks: map[string]string{
			"StandIn": "the suite spoils fields of HTTP requests; Dovecot and Postfix are tested against themselves (TestConversation, TestBounce)",
		},
	})
}

// on is a mailbox whose servers behave as the suite says.
func on(t *testing.T, network transporttest.Network) (transports.Transport, func() int) {
	t.Helper()
	settings := map[string]string{"imap": imapAt, "smtp": smtpAt}
	echo := password + " " + replyKey
	f := &fakeSMTP{}
	imapSays := ""
	switch network {
	case transporttest.Offline:
		return newMailbox(t, settings, func(_ context.Context, _, address string) (net.Conn, error) {
			t.Errorf("a connection to %s where there should be none", address)
			return nil, net.ErrClosed
		}), f.taken
	case transporttest.Unreachable:
		return newMailbox(t, settings, pipes(t, nil)), f.taken
	case transporttest.Working:
		return newMailbox(t, settings, pipes(t, map[string]func(net.Conn){smtpAt: f.serve})), f.taken
	case transporttest.Lost:
		f.answers = map[string]string{".": closeIt}
	case transporttest.Silent:
		f.answers = map[string]string{".": hang}
		imapSays = hang
	case transporttest.Refusing:
		f.answers = map[string]string{"MAIL": "550 5.7.1 no: " + echo, "AUTH": "235 ok", "greeting": "220 " + echo}
		imapSays = "* OK ready\r\n%s NO [CANNOT] no: " + echo + "\r\n"
	case transporttest.Unauthorised:
		f.answers = map[string]string{"AUTH": "535 5.7.8 no: " + echo}
		imapSays = "* OK [CAPABILITY IMAP4rev1] ready\r\n%s NO [AUTHENTICATIONFAILED] no: " + echo + "\r\n"
	case transporttest.Failing:
		f.answers = map[string]string{"greeting": "421 4.3.0 " + echo}
		imapSays = "* BYE [UNAVAILABLE] " + echo + "\r\n"
	case transporttest.Garbled:
		f.answers = map[string]string{"greeting": "HTTP/1.0 200 OK\r\n\r\n" + echo}
		imapSays = "HTTP/1.0 200 OK\r\n\r\n" + echo + "\r\n"
	}
	sayIMAP := func(conn net.Conn) {
		defer conn.Close()
		switch imapSays {
		case "":
			return
		case hang:
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		greeting, answer, more := strings.Cut(imapSays, "\r\n")
		if _, err := io.WriteString(conn, greeting+"\r\n"); err != nil {
			return
		}
		in := bufio.NewReader(conn)
		for more {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if tag, _, ok := strings.Cut(line, " "); ok {
				if _, err := fmt.Fprintf(conn, strings.ReplaceAll(answer, "%s", "%[1]s"), tag); err != nil {
					return
				}
			}
		}
		_, _ = io.WriteString(conn, answer)
	}
	return newMailbox(t, settings, pipes(t, map[string]func(net.Conn){smtpAt: f.serve, imapAt: sayIMAP})), f.taken
}

// polled is a mailbox on an IMAP server in memory that holds these mails.
func polled(t *testing.T, bodies [][]byte) transports.Transport {
	t.Helper()
	mails := imapmemserver.NewUser(ownAddress, password)
	if err := mails.Create(inboxName, nil); err != nil {
		t.Fatal(err)
	}
	for _, body := range bodies {
		if _, err := mails.Append(inboxName, literal{bytes.NewReader(body)}, &imap.AppendOptions{Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	users := imapmemserver.New()
	users.AddUser(mails)
	server := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &faithful{Session: users.NewSession(), bodies: bodies}, nil, nil
		},
		Caps: imap.CapSet{imap.CapIMAP4rev1: {}}, InsecureAuth: true, Logger: log.New(io.Discard, "", 0),
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	m := newMailbox(t, map[string]string{"since": "2020-01-01"}, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return direct(ctx, network, l.Addr().String())
	})
	return m
}

const inboxName = "INBOX"

// broken is a mail that the server cannot hand out.
var broken = []byte("Subject: broken\r\n\r\n")

type literal struct{ *bytes.Reader }

func (l literal) Size() int64 { return l.Reader.Size() }

// faithful hands mails out as they are. The server in memory parses them, and
// has nothing of those that it cannot.
type faithful struct {
	imapserver.Session
	bodies [][]byte // by UID, from 1
}

// Fetch implements [imapserver.Session].
func (f *faithful) Fetch(w *imapserver.FetchWriter, set imap.NumSet, options *imap.FetchOptions) error {
	uids, ok := set.(imap.UIDSet)
	if !ok {
		return fmt.Errorf("not by UID: %v", set)
	}
	for i, body := range f.bodies {
		uid := imap.UID(i + 1)
		if !uids.Contains(uid) {
			continue
		}
		if string(body) == string(broken) && len(options.BodySection) > 0 {
			return &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeServerBug, Text: "the disk is tired"}
		}
		m := w.CreateMessage(uint32(uid))
		m.WriteUID(uid)
		if options.InternalDate {
			m.WriteInternalDate(time.Now())
		}
		if options.RFC822Size {
			m.WriteRFC822Size(int64(len(body)))
		}
		for _, section := range options.BodySection {
			bw := m.WriteBodySection(section, int64(len(body)))
			if _, err := bw.Write(body); err != nil {
				return err
			}
			if err := bw.Close(); err != nil {
				return err
			}
		}
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}
