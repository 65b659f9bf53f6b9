package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/url"
	"strings"
	"time"

	"parley/inbox"
)

// openMail reads where mails to agents go: smtp://user:password@host:587?from=address,
// or smtps:// where TLS begins at once. The password goes over TLS only, or to this
// machine. It returns nil for an empty URL, and connects when there is something to
// send.
func openMail(text string) (func(ctx context.Context, to, subject, text string) error, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no mail server is no error
	}
	u, err := url.Parse(text)
	var from *mail.Address
	if err == nil {
		from, err = mail.ParseAddress(u.Query().Get("from"))
	}
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" {
		// Not the URL, nor the error, which quotes it: there is a password in it.
		return nil, &inbox.Error{
			Code: inbox.Invalid, Message: "The mail server for alerts is not one.", Hint: "It looks like smtp://user:password@mail.example.com:587?from=inbox@example.com.",
		}
	}
	m := &mailServer{host: u.Hostname(), tls: u.Scheme == "smtps", from: *from}
	m.addr = net.JoinHostPort(m.host, cmp.Or(u.Port(), map[bool]string{true: "465", false: "587"}[m.tls]))
	if password, ok := u.User.Password(); ok {
		m.auth = smtp.PlainAuth("", u.User.Username(), password, m.host)
	}
	return m.send, nil
}

// mailServer takes mails to agents.
type mailServer struct {
	addr, host string
	tls        bool
	auth       smtp.Auth
	from       mail.Address
}

func (m *mailServer) send(ctx context.Context, to, subject, text string) (err error) {
	rcpt, err := mail.ParseAddress(to)
	if err != nil {
		return fmt.Errorf("the user's mail address: %w", err)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", m.addr)
	if err != nil {
		return fmt.Errorf("mail server: %w", err)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	_ = conn.SetDeadline(deadline)
	config := &tls.Config{ServerName: m.host, MinVersion: tls.VersionTLS12}
	if m.tls {
		conn = tls.Client(conn, config)
	}
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		_ = conn.Close()
		return fmt.Errorf("mail server: %w", err)
	}
	defer func() { _ = c.Close() }()
	if can, _ := c.Extension("STARTTLS"); can && !m.tls {
		if err := c.StartTLS(config); err != nil {
			return fmt.Errorf("mail server: %w", err)
		}
	}
	if m.auth != nil {
		if err := c.Auth(m.auth); err != nil {
			return fmt.Errorf("mail server: %w", err)
		}
	}
	if err := c.Mail(m.from.Address); err != nil {
		return fmt.Errorf("mail server: %w", err)
	}
	if err := c.Rcpt(rcpt.Address); err != nil {
		return fmt.Errorf("mail server: %w", err)
	}
	w, err := c.Data()
	if err != nil {
		return fmt.Errorf("mail server: %w", err)
	}
	if _, err := w.Write(m.letter(rcpt, subject, text)); err != nil {
		return fmt.Errorf("mail server: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("mail server: %w", err)
	}
	_ = c.Quit() // it is accepted
	return nil
}

// letter is the mail. It says that nobody wrote it (RFC 3834), so that no other
// program answers.
func (m *mailServer) letter(to *mail.Address, subject, text string) []byte {
	_, domain, _ := strings.Cut(m.from.Address, "@")
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n", m.from.String(), to.String(),
		mime.QEncoding.Encode("utf-8", strings.Join(strings.Fields(subject), " ")), time.Now().Format(time.RFC1123Z), rand.Text(), domain)
	b.WriteString("Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	q := quotedprintable.NewWriter(&b)
	_, _ = q.Write([]byte(text)) // into memory
	_ = q.Close()
	return b.Bytes()
}
