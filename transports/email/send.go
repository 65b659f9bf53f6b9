package email

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"parley/transports"
)

// Time limits of one send, below those of RFC 5321, section 4.5.3.2: whoever
// waits is a person, and a submission server does no more than to queue.
const (
	smtpCommandTime = time.Minute
	smtpDataTime    = 5 * time.Minute
	appendTime      = 10 * time.Second
)

// stage is how far a send got.
type stage int

const (
	beforeLogin stage = iota
	loggingIn
	addressing
	// ended: the end of the data may have reached the server.
	ended
)

// Send implements [transports.Sender] by one SMTP transaction for all
// recipients: when the server refuses one of them, nobody gets the mail and the
// words say who it was.
func (m *Mailbox) Send(ctx context.Context, part transports.Outbound) (transports.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return transports.Receipt{}, &transports.SendError{Outcome: transports.Retry, Words: "stopped before sending", Err: err}
	}
	mail, err := m.compose(ctx, part, time.Now())
	if err != nil {
		return transports.Receipt{}, m.composeError(err)
	}
	access, err := m.login(ctx)
	if err != nil {
		e := &transports.SendError{Outcome: transports.Retry, Words: "the mail provider gave no access token", Err: m.redact.Error("log in", err)}
		e.Credentials = errors.Is(err, transports.ErrCredentials)
		return transports.Receipt{}, e
	}
	t := &transaction{m: m, mail: mail, access: access}
	if err := t.run(ctx); err != nil {
		return transports.Receipt{}, t.sendError(err)
	}
	if m.saveSent {
		// The mail is out: whether its copy could be kept changes nothing about that.
		_ = m.save(ctx, mail)
	}
	return transports.Receipt{ProviderID: mail.id, Chat: Chat}, nil
}

func (m *Mailbox) composeError(err error) *transports.SendError {
	var words wordsError
	if errors.As(err, &words) {
		return &transports.SendError{Outcome: transports.Rejected, Words: string(words)}
	}
	var file *fileError
	if errors.As(err, &file) {
		return &transports.SendError{Outcome: transports.Retry, Words: "a file could not be read", Err: m.redact.Error("compose", err)}
	}
	return &transports.SendError{Outcome: transports.Rejected, Words: "the mail could not be written", Err: m.redact.Error("compose", err)}
}

// transaction is one mail on one connection.
type transaction struct {
	m      *Mailbox
	mail   *outgoing
	access string
	at     stage
	// to is the recipient being told, for the words.
	to string
}

func (t *transaction) run(ctx context.Context) error {
	c, release, err := t.m.smtpLogin(ctx, t.access, &t.at)
	if err != nil {
		return err
	}
	defer release()
	t.at = addressing
	options := &smtp.MailOptions{Size: int64(len(t.mail.bytes)), UTF8: t.mail.utf8}
	if limit, ok := c.MaxMessageSize(); ok && limit > 0 && len(t.mail.bytes) > limit {
		return wordsError(fmt.Sprintf("the mail has %d MB with its files; the mail server takes %d", len(t.mail.bytes)>>20+1, limit>>20))
	}
	if ok, _ := c.Extension("SMTPUTF8"); t.mail.utf8 && !ok {
		return wordsError("the mail server cannot write to addresses with letters beyond a to z")
	}
	if err := c.Mail(t.mail.from, options); err != nil {
		return err
	}
	for _, to := range t.mail.to {
		t.to = to
		if err := c.Rcpt(to, nil); err != nil {
			return err
		}
	}
	t.to = ""
	data, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := data.Write(t.mail.bytes); err != nil {
		return err // without the end of the data a server keeps nothing (RFC 5321, section 4.1.1.4)
	}
	t.at = ended
	err = data.Close()
	var answer *smtp.SMTPError
	if errors.As(err, &answer) && answer.Code/100 == 2 {
		err = nil
	}
	if err == nil {
		_ = c.Quit()
	}
	return err
}

// smtpLogin connects and logs in. The connection ends with ctx.
func (m *Mailbox) smtpLogin(ctx context.Context, access string, at *stage) (c *smtp.Client, release func(), err error) {
	conn, err := m.connect(ctx, m.smtp)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	end := func() {
		stop()
		_ = conn.Close()
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	if m.smtp.security == startTLS {
		// Its own time limits hold only once it is made.
		deadline := time.AfterFunc(dialTime, func() { _ = conn.Close() })
		c, err = smtp.NewClientStartTLS(conn, m.smtp.tls)
		deadline.Stop()
		if err != nil {
			return nil, nil, fmt.Errorf("begin TLS: %w", err)
		}
	} else {
		c = smtp.NewClient(conn)
	}
	c.CommandTimeout, c.SubmissionTimeout = smtpCommandTime, smtpDataTime
	if err := c.Hello(helloName(conn)); err != nil {
		return nil, nil, err
	}
	if ok, _ := c.Extension("AUTH"); !ok && m.smtp.security == noTLS {
		return c, end, nil // a relay on this machine
	}
	*at = loggingIn
	how := m.mechanism(access)
	if m.tokens == nil && !c.SupportsAuth(sasl.Plain) && c.SupportsAuth(sasl.Login) {
		how = sasl.NewLoginClient(m.username, m.password)
	}
	if err := c.Auth(how); err != nil {
		return nil, nil, err
	}
	return c, end, nil
}

// helloName is our address as a literal (RFC 5321, section 4.1.3): submitting
// programs have no name.
func helloName(conn net.Conn) string {
	tcp, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return "localhost"
	}
	if ip := tcp.IP.To4(); ip != nil {
		return "[" + ip.String() + "]"
	}
	return "[IPv6:" + tcp.IP.String() + "]"
}

// sendError says what a failed transaction means for the mail.
func (t *transaction) sendError(err error) *transports.SendError {
	clean := t.m.redactor(t.access)
	e := &transports.SendError{Outcome: transports.Retry, Err: clean.Error("send", err)}
	var words wordsError
	if errors.As(err, &words) {
		return &transports.SendError{Outcome: transports.Rejected, Words: string(words)}
	}
	var token *tokenError
	if errors.As(err, &token) {
		t.m.tokens.forget(t.access)
		e.Credentials = true
		e.Words = "the mail server refused the mailbox's access token: connect the mailbox again"
		return e
	}
	var answer *smtp.SMTPError
	if !errors.As(err, &answer) {
		switch t.at {
		case ended:
			e.Outcome = transports.Unknown
			e.Words = "the mail server did not answer: the mail may have been sent"
		case loggingIn:
			e.Words = "logging in to the mail server failed"
		case beforeLogin, addressing:
			e.Words = "the mail server could not be reached"
		}
		return e
	}
	said := clean.Words(oneLine(answer.Message))
	e.Code = code(answer)
	e.Words = "the mail server said: " + said
	if t.to != "" {
		e.Words = "the mail server refused " + t.to + ": " + said
	}
	temporary := answer.Code/100 == 4
	switch {
	case t.at == loggingIn && !temporary:
		if t.m.tokens != nil {
			t.m.tokens.forget(t.access)
		}
		e.Credentials = true
		e.Words = "the mail server refused the mailbox's user name or password: " + said
	case t.at < addressing:
		// Whatever its code, it is about the connection, not about the mail.
		e.Words = "the mail server takes no mail now: " + said
	case answer.EnhancedCode == smtp.EnhancedCode{5, 4, 5}:
		// A quota of the account (https://support.google.com/a/answer/166852).
		e.Throttled, e.RetryAfter = transports.AccountThrottled, time.Hour
	case answer.Code == 530 || answer.Code == 535:
		e.Credentials = true
	case temporary && t.to == "":
	case temporary:
		e.Words = "the mail server does not take mail to " + t.to + " now: " + said
	case answer.Code/100 == 5:
		e.Outcome = transports.Rejected
		// The mailbox or its domain does not exist (RFC 3463, section 3.2).
		gone := answer.EnhancedCode == smtp.EnhancedCode{5, 1, 1} || answer.EnhancedCode == smtp.EnhancedCode{5, 1, 2} ||
			answer.EnhancedCode == smtp.EnhancedCode{5, 1, 10}
		e.Unreachable = gone && t.to != "" && len(t.mail.to) == 1
	case t.at == ended:
		e.Outcome = transports.Unknown // an answer that is none
	}
	return e
}

func code(answer *smtp.SMTPError) string {
	c := strconv.Itoa(answer.Code)
	if x := answer.EnhancedCode; x != smtp.EnhancedCodeNotSet && x != smtp.NoEnhancedCode {
		c += fmt.Sprintf(" %d.%d.%d", x[0], x[1], x[2])
	}
	return c
}

// save puts a copy into the Sent folder, read.
func (m *Mailbox) save(ctx context.Context, mail *outgoing) error {
	ctx, cancel := context.WithTimeout(ctx, appendTime)
	defer cancel()
	s, err := m.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	name := m.sent
	if name == sentAuto || name == "" {
		if name, err = s.specialUse(imap.MailboxAttrSent); err != nil || name == "" {
			return errors.Join(err, errors.New("the mailbox has no Sent folder"))
		}
	}
	cmd := s.c.Append(name, int64(len(mail.bytes)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}})
	if _, err := cmd.Write(mail.bytes); err != nil {
		return err
	}
	if err := cmd.Close(); err != nil {
		return err
	}
	_, err = cmd.Wait()
	return err
}

// checkSMTP logs in and out again.
func (m *Mailbox) checkSMTP(ctx context.Context, access string) error {
	at := beforeLogin
	c, release, err := m.smtpLogin(ctx, access, &at)
	if err == nil {
		_ = c.Quit()
		release()
		return nil
	}
	var (
		answer *smtp.SMTPError
		token  *tokenError
	)
	if at == loggingIn && errors.As(err, &answer) && answer.Code/100 == 5 || errors.As(err, &token) {
		return m.refused(access, err)
	}
	return fmt.Errorf("%s: %w", strings.TrimSpace("log in to the SMTP server "+m.smtp.addr), err)
}
