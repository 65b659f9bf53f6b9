package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"parley/transports"
)

// inbox is the folder that every mailbox has (RFC 9051, section 5.1).
const inbox = "INBOX"

// Time limits of one connection.
const (
	dialTime    = 30 * time.Second
	commandTime = time.Minute
	// fetchTime is for one batch of mails, of maxMail at most.
	fetchTime = 5 * time.Minute
)

// session is one IMAP connection, logged in.
type session struct {
	m    *Mailbox
	conn net.Conn
	c    *imapclient.Client
	caps imap.CapSet
	// news tells that the open folder has grown.
	news chan struct{}
	// slow is set when a command took too long, which is why the connection is
	// closed then.
	slow    atomic.Bool
	release func() bool
}

// open connects and logs in. The session ends with ctx.
func (m *Mailbox) open(ctx context.Context) (*session, error) {
	access, err := m.login(ctx)
	if err != nil {
		return nil, m.redact.Error("log in", err)
	}
	s := &session{m: m, news: make(chan struct{}, 1)}
	if s.conn, err = m.connect(ctx, m.imap); err != nil {
		return nil, m.redact.Error("connect to the IMAP server "+m.imap.addr, err)
	}
	s.release = context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	if err := s.within(dialTime, func() error { return s.begin(access) }); err != nil {
		s.close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		// The access token is not among the secrets that the redactor knows.
		return nil, m.redactor(access).Error("log in to the IMAP server "+m.imap.addr, err)
	}
	return s, nil
}

// redactor is the account's, with one secret more.
func (m *Mailbox) redactor(access string) transports.Redactor {
	return m.redact.With(access)
}

// connect dials, with TLS where it begins at once.
func (m *Mailbox) connect(ctx context.Context, to server) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := m.dial(ctx, "tcp", to.addr)
	if err != nil {
		return nil, err
	}
	if to.security != implicitTLS {
		return conn, nil
	}
	secure := tls.Client(conn, to.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("begin TLS: %w", err)
	}
	return secure, nil
}

// begin greets and logs in.
func (s *session) begin(access string) error {
	options := &imapclient.Options{
		TLSConfig: s.m.imap.tls,
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{
			Mailbox: func(data *imapclient.UnilateralDataMailbox) {
				if data.NumMessages != nil {
					select {
					case s.news <- struct{}{}:
					default:
					}
				}
			},
		},
	}
	if s.m.imap.security == startTLS {
		var err error
		if s.c, err = imapclient.NewStartTLS(s.conn, options); err != nil {
			return fmt.Errorf("begin TLS: %w", err)
		}
	} else {
		s.c = imapclient.New(s.conn, options)
	}
	if err := s.c.WaitGreeting(); err != nil {
		return err
	}
	if s.c.State() == imap.ConnStateNotAuthenticated {
		if err := s.authenticate(access); err != nil {
			return err
		}
	}
	if s.caps = s.c.Caps(); s.caps == nil {
		return errors.New("the server does not say what it can do")
	}
	return nil
}

func (s *session) authenticate(access string) error {
	caps := s.c.Caps()
	var err error
	if s.m.tokens == nil && !caps.Has(imap.AuthCap("PLAIN")) {
		if caps.Has(imap.CapLoginDisabled) {
			return errors.New("the server takes no password on this connection: set imap_security to tls or starttls")
		}
		err = s.c.Login(s.m.username, s.m.password).Wait()
	} else {
		err = s.c.Authenticate(s.m.mechanism(access))
	}
	if badCredentials(err) {
		return s.m.refused(access, err)
	}
	return err
}

// badCredentials tells refused credentials from a server that cannot check them
// now (RFC 5530, section 3). Servers without codes answer NO for both; only
// their words tell.
func badCredentials(err error) bool {
	var token *tokenError
	if errors.As(err, &token) {
		return true
	}
	var no *imap.Error
	if !errors.As(err, &no) || no.Type != imap.StatusResponseTypeNo {
		return false
	}
	switch no.Code {
	case imap.ResponseCodeAuthenticationFailed, imap.ResponseCodeAuthorizationFailed, imap.ResponseCodeExpired:
		return true
	case "":
		words := strings.ToLower(no.Text)
		return !slices.ContainsFunc([]string{"temporar", "try again", "later", "too many", "unavailable", "internal"},
			func(s string) bool { return strings.Contains(words, s) })
	default:
		return false
	}
}

// within runs one command under a time limit, at which the connection is closed:
// the library's commands know no contexts.
func (s *session) within(d time.Duration, f func() error) error {
	timer := time.AfterFunc(d, func() {
		s.slow.Store(true)
		_ = s.conn.Close()
	})
	defer timer.Stop()
	err := f()
	if err != nil && s.slow.Load() {
		return fmt.Errorf("no answer within %v: %w", d, context.DeadlineExceeded)
	}
	return err
}

// close ends the connection, without a word: the server forgets nothing by it.
func (s *session) close() {
	s.release()
	_ = s.conn.Close()
	if s.c != nil {
		_ = s.c.Close()
	}
}

// folder is one that is read.
type folder struct {
	name string
	sent bool
}

// folders are those to read, the inbox last: it stays open for IDLE.
func (s *session) folders() ([]folder, error) {
	var all []folder
	sent := s.m.sent
	if sent == sentAuto {
		sent = ""
		err := s.within(commandTime, func() (err error) { sent, err = s.specialUse(imap.MailboxAttrSent); return err })
		if err != nil {
			return nil, fmt.Errorf("list the folders: %w", err)
		}
	}
	if sent != "" {
		all = append(all, folder{sent, true})
	}
	for _, name := range s.m.folders {
		if !strings.EqualFold(name, inbox) && name != sent {
			all = append(all, folder{name: name})
		}
	}
	return append(all, folder{name: inbox}), nil
}

// specialUse is the folder of a special use (RFC 6154), empty when none is
// marked.
func (s *session) specialUse(use imap.MailboxAttr) (string, error) {
	if !s.caps.Has(imap.CapSpecialUse) && !s.caps.Has(imap.CapIMAP4rev2) {
		return "", nil
	}
	listed, err := s.c.List("", "*", nil).Collect()
	if err != nil {
		return "", err
	}
	for _, one := range listed {
		if slices.Contains(one.Attrs, use) && !slices.Contains(one.Attrs, imap.MailboxAttrNoSelect) && !slices.Contains(one.Attrs, imap.MailboxAttrNonExistent) {
			return one.Mailbox, nil
		}
	}
	return "", nil
}

// examine opens a folder read-only, so that no flag ever changes.
func (s *session) examine(name string) (data *imap.SelectData, err error) {
	err = s.within(commandTime, func() error {
		data, err = s.c.Select(name, &imap.SelectOptions{ReadOnly: true, CondStore: s.caps.Has(imap.CapCondStore)}).Wait()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open the folder %s: %w", name, err)
	}
	if data.UIDValidity == 0 {
		return nil, fmt.Errorf("open the folder %s: the server has no lasting ids for its mails (UIDVALIDITY)", name)
	}
	if data.UIDNext == 0 && data.NumMessages > 0 { // not every server says
		uids, err := s.uids(&imap.SearchCriteria{})
		if err != nil {
			return nil, fmt.Errorf("list the folder %s: %w", name, err)
		}
		if len(uids) > 0 {
			data.UIDNext = uids[len(uids)-1] + 1
		}
	}
	return data, nil
}

// idle waits until the open folder has grown, or d is over.
func (s *session) idle(ctx context.Context, d time.Duration) error {
	if !s.caps.Has(imap.CapIdle) && !s.caps.Has(imap.CapIMAP4rev2) {
		return s.doze(ctx, min(d, 30*time.Second))
	}
	var waiting *imapclient.IdleCommand
	err := s.within(commandTime, func() (err error) { waiting, err = s.c.Idle(); return err })
	if err != nil {
		return fmt.Errorf("wait for news: %w", err)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.news:
	case <-timer.C:
	case <-s.c.Closed():
	case <-ctx.Done():
		return ctx.Err()
	}
	// Ending IDLE is also how a connection is found out that died in silence.
	err = s.within(dialTime, func() error {
		if err := waiting.Close(); err != nil {
			return err
		}
		return waiting.Wait()
	})
	if err != nil {
		return fmt.Errorf("wait for news: %w", err)
	}
	return nil
}

// doze is idle for servers that have none.
func (s *session) doze(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.c.Closed():
		return errors.New("the server closed the connection")
	case <-ctx.Done():
		return ctx.Err()
	}
}
