package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/uuid"
)

// MailOptions configure a [Mail].
type MailOptions struct {
	// Address and Password are the business's mailbox; [DefaultMailAddress] and
	// [DefaultMailPassword] when empty.
	Address, Password string
	// Faults from the start; see [Mail.SetFaults].
	Faults MailFaults
	// Seed of the faults' dice.
	Seed uint64
	// Now is the clock of dates, time.Now by default.
	Now func() time.Time
}

// DefaultMailAddress is the mailbox of a stand-in that was given none.
const DefaultMailAddress = "office@sandbox.example"

// DefaultMailPassword is the password of a stand-in that was given none.
const DefaultMailPassword = "SANDBOX-mail"

// Mail is a local mail server with one mailbox, the business's, and the people
// who write to it: IMAP in (RFC 9051), SMTP for what it sends (RFC 6409), both
// without TLS and so for loopback only. Mails are in memory; a restart gives
// their folders another UIDVALIDITY, as a server does that lost them.
//
// Everybody can be written to but those whose addresses begin with nobody@, who
// are refused (550), busy@, who are told to wait (450), and bounce@, whose mail
// is taken and comes back (RFC 3464).
type Mail struct {
	opts     MailOptions
	user     *imapmemserver.User
	imap     *imapserver.Server
	smtp     *smtp.Server
	validity uint32
	faults   atomic.Pointer[mailPlan]
	control  *http.Server
	stop     context.Context
	stopped  context.CancelFunc
	work     sync.WaitGroup
	closing  sync.Once

	mu      sync.Mutex
	sent    []SentMail
	written []letterWritten
	people  map[string]string // names by normalised address
	nth     int64             // how many mails were submitted
	came    int64             // how many came for the business
	held    []byte            // a mail that comes behind the next one
	news    chan struct{}     // closed at the next mail in a folder
}

// SentMail is a mail that the business sent.
type SentMail struct {
	From string
	To   []string
	At   time.Time
	// Raw is the mail as it came.
	Raw []byte
}

// NewMail builds a stand-in. It listens nowhere until Serve.
func NewMail(opts MailOptions) (*Mail, error) {
	if opts.Address == "" {
		opts.Address = DefaultMailAddress
	}
	if opts.Password == "" {
		opts.Password = DefaultMailPassword
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	m := &Mail{
		opts: opts, user: imapmemserver.NewUser(opts.Address, opts.Password),
		validity: uint32(opts.Now().Unix()), //nolint:gosec // until 2106
		people:   map[string]string{}, news: make(chan struct{}),
	}
	if err := opts.Faults.check(); err != nil {
		return nil, fmt.Errorf("sandbox mail: %w", err)
	}
	m.SetFaults(opts.Faults)
	m.stop, m.stopped = context.WithCancel(context.Background())
	m.control = &http.Server{Handler: m.controlMux(), ReadHeaderTimeout: 10 * time.Second}
	for _, folder := range []string{"INBOX", "Sent", "Junk"} {
		if err := m.user.Create(folder, nil); err != nil {
			return nil, fmt.Errorf("sandbox mail: make the folder %s: %w", folder, err)
		}
	}
	quiet := log.New(io.Discard, "", 0)
	users := imapmemserver.New()
	users.AddUser(m.user)
	m.imap = imapserver.New(&imapserver.Options{
		NewSession: func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &mailSession{Session: users.NewSession(), m: m, conn: c}, nil, nil
		},
		Caps: imap.CapSet{imap.CapIMAP4rev1: {}}, InsecureAuth: true, Logger: quiet,
	})
	m.smtp = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &submission{m: m, conn: c}, nil }))
	m.smtp.Domain, m.smtp.AllowInsecureAuth, m.smtp.EnableSMTPUTF8 = "sandbox.example", true, true
	m.smtp.MaxMessageBytes, m.smtp.MaxRecipients, m.smtp.ErrorLog = 30<<20, 100, quiet
	m.smtp.ReadTimeout, m.smtp.WriteTimeout = time.Minute, time.Minute
	return m, nil
}

// Address is the business's.
func (m *Mail) Address() string { return m.opts.Address }

// Serve answers on both listeners until Close.
func (m *Mail) Serve(forIMAP, forSMTP net.Listener) error {
	// Neither server closes a listener that it has not begun to serve when it is
	// closed itself.
	defer context.AfterFunc(m.stop, func() { _, _ = forIMAP.Close(), forSMTP.Close() })()
	both := make(chan error, 2)
	go func() { both <- m.imap.Serve(forIMAP) }()
	go func() { both <- m.smtp.Serve(forSMTP) }()
	err := <-both
	_ = m.close()
	return errors.Join(err, <-both)
}

// MailAt is where a stand-in listens, each as host:port: the control endpoints
// under /sandbox/, IMAP and SMTP.
type MailAt struct {
	Control string `json:"control"`
	IMAP    string `json:"imap"`
	SMTP    string `json:"smtp"`
}

// Start serves on loopback until Close, at those addresses of at that are free
// and at any where none was given, and yields where.
func (m *Mail) Start(ctx context.Context, at MailAt) (MailAt, error) {
	var listeners [3]net.Listener
	for i, addr := range []*string{&at.Control, &at.IMAP, &at.SMTP} {
		ln, err := listenLoopback(ctx, *addr)
		if err != nil {
			for _, ln := range listeners[:i] {
				_ = ln.Close()
			}
			return MailAt{}, fmt.Errorf("sandbox mail: %w", err)
		}
		listeners[i], *addr = ln, ln.Addr().String()
	}
	m.work.Go(func() { _ = m.control.Serve(listeners[0]) })
	m.work.Go(func() { _ = m.Serve(listeners[1], listeners[2]) })
	return at, nil
}

// listenLoopback listens at an address, or at any if that is not free.
func listenLoopback(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	if host, _, err := net.SplitHostPort(addr); err == nil && host == "127.0.0.1" {
		if ln, err := lc.Listen(ctx, "tcp", addr); err == nil {
			return ln, nil
		}
	}
	return lc.Listen(ctx, "tcp", "127.0.0.1:0")
}

// Close ends Serve and all connections, and waits for what Start began.
func (m *Mail) Close() error {
	err := m.close()
	m.work.Wait()
	return err
}

// close ends everything once: the SMTP server cannot be closed by two.
func (m *Mail) close() (err error) {
	m.closing.Do(func() {
		m.stopped()
		for _, end := range []func() error{m.control.Close, m.imap.Close, m.smtp.Close} {
			// Whose listener is closed already is as it should be.
			if e := end(); !errors.Is(e, net.ErrClosed) {
				err = errors.Join(err, e)
			}
		}
	})
	return err
}

// Deliver puts a mail (RFC 5322) into the inbox, whatever it looks like, as the
// faults say.
func (m *Mail) Deliver(raw []byte) error {
	for _, one := range m.overtaken(raw) {
		if err := m.put(one); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mail) put(raw []byte) error {
	for range max(m.faults.Load().Copies, 1) {
		_, err := m.user.Append("INBOX", literal{bytes.NewReader(raw)}, &imap.AppendOptions{Time: m.opts.Now()})
		if err != nil {
			return fmt.Errorf("sandbox mail: deliver: %w", err)
		}
	}
	m.announce()
	return nil
}

// Letter is a mail that somebody writes to the business.
type Letter struct {
	// From is an address, with a name or without.
	From, Subject, Text string
	// To is the business's own address when empty; an answer goes to the Reply-To.
	To string
	// InReplyTo is the Message-ID answered, without angle brackets.
	InReplyTo string
}

// Write delivers a letter, and returns its Message-ID without angle brackets.
func (m *Mail) Write(l Letter) (id string, err error) {
	if _, err := mail.ParseAddress(l.From); err != nil {
		return "", fmt.Errorf("sandbox mail: %q is no address: %w", l.From, err)
	}
	if l.To == "" {
		l.To = m.opts.Address
	}
	id = uuid.NewString() + "@people.example"
	var out bytes.Buffer
	now := m.opts.Now()
	fmt.Fprintf(&out, "Return-Path: <%s>\r\nAuthentication-Results: sandbox.example; dmarc=pass\r\n", bare(l.From))
	fmt.Fprintf(&out, "From: %s\r\nTo: %s\r\nDate: %s\r\nMessage-ID: <%s>\r\nSubject: %s\r\n",
		header(l.From), header(l.To), now.Format(time.RFC1123Z), id, mime.QEncoding.Encode("utf-8", header(l.Subject)))
	if l.InReplyTo != "" {
		fmt.Fprintf(&out, "In-Reply-To: <%[1]s>\r\nReferences: <%[1]s>\r\n", header(l.InReplyTo))
	}
	out.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	out.WriteString(strings.ReplaceAll(strings.ReplaceAll(l.Text, "\r\n", "\n"), "\n", "\r\n") + "\r\n")
	if err := m.Deliver(out.Bytes()); err != nil {
		return "", err
	}
	m.remember(l, id, now)
	return id, nil
}

// Answer writes an answer to a mail that was sent, as its first recipient, to
// where it asks for answers.
func (m *Mail) Answer(to SentMail, text string) (id string, err error) {
	if len(to.To) == 0 {
		return "", errors.New("sandbox mail: there is nothing to answer")
	}
	l := Letter{From: to.To[0], Text: text}
	if err := l.answer(to.Raw); err != nil {
		return "", err
	}
	return m.Write(l)
}

// Sent are the mails that the business sent, oldest first.
func (m *Mail) Sent() []SentMail {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.sent)
}

// take keeps a mail that was submitted, and sends back what bounces.
func (m *Mail) take(s SentMail) error {
	s.At = m.opts.Now()
	m.mu.Lock()
	m.sent = append(m.sent, s)
	m.mu.Unlock()
	for _, to := range s.To {
		if strings.HasPrefix(to, "bounce@") {
			if err := m.Deliver(bounce(s, to)); err != nil {
				return err
			}
		}
	}
	return nil
}

// bounce is a delivery status notification (RFC 3464).
func bounce(s SentMail, to string) []byte {
	head, _, _ := bytes.Cut(s.Raw, []byte("\r\n\r\n"))
	return fmt.Appendf(nil, "Return-Path: <>\r\nFrom: MAILER-DAEMON@sandbox.example\r\nTo: %s\r\nDate: %s\r\nMessage-ID: <%s@sandbox.example>\r\n"+
		"Auto-Submitted: auto-replied\r\nSubject: Undelivered mail\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n"+
		"--b\r\nContent-Type: text/plain\r\n\r\nNobody has the address %s.\r\n"+
		"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; sandbox.example\r\n\r\n"+
		"Final-Recipient: rfc822; %s\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such person\r\n"+
		"\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n%s\r\n--b--\r\n",
		s.From, s.At.Format(time.RFC1123Z), uuid.NewString(), to, to, head)
}

// header keeps a value on its line.
func header(s string) string { return strings.Join(strings.Fields(s), " ") }

func bare(address string) string {
	if a, err := mail.ParseAddress(address); err == nil {
		return a.Address
	}
	return ""
}

type literal struct{ *bytes.Reader }

// Size implements [imap.LiteralReader].
func (l literal) Size() int64 { return l.Reader.Size() }

// mailSession gives the folders their UIDVALIDITY, and IDLE its faults.
type mailSession struct {
	imapserver.Session
	m    *Mail
	conn *imapserver.Conn
}

// Select implements [imapserver.Session].
func (s *mailSession) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	data, err := s.Session.Select(name, options)
	if err == nil {
		data.UIDValidity = s.m.validity
	}
	return data, err
}

// Status implements [imapserver.Session].
func (s *mailSession) Status(name string, options *imap.StatusOptions) (*imap.StatusData, error) {
	data, err := s.Session.Status(name, options)
	if err == nil && data.UIDValidity != 0 {
		data.UIDValidity = s.m.validity
	}
	return data, err
}

// submission is one SMTP connection.
type submission struct {
	m        *Mail
	conn     *smtp.Conn
	loggedIn bool
	mail     SentMail
}

// AuthMechanisms implements [smtp.AuthSession].
func (s *submission) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements [smtp.AuthSession].
func (s *submission) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != s.m.opts.Address || password != s.m.opts.Password {
			return smtp.ErrAuthFailed
		}
		s.loggedIn = true
		return nil
	}), nil
}

// Mail implements [smtp.Session].
func (s *submission) Mail(from string, _ *smtp.MailOptions) error {
	if !s.loggedIn {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Log in first"}
	}
	if from != s.m.opts.Address {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 60}, Message: "Not your address"}
	}
	s.mail = SentMail{From: from}
	return nil
}

// Rcpt implements [smtp.Session].
func (s *submission) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch local, _, _ := strings.Cut(to, "@"); local {
	case "nobody":
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such person"}
	case "busy":
		return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "Try again later"}
	}
	s.mail.To = append(s.mail.To, to)
	return nil
}

// Data implements [smtp.Session].
func (s *submission) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mail.Raw = raw
	return s.faulty(func() error { return s.m.take(s.mail) })
}

// Reset implements [smtp.Session].
func (s *submission) Reset() { s.mail = SentMail{} }

// Logout implements [smtp.Session].
func (s *submission) Logout() error { return nil }
