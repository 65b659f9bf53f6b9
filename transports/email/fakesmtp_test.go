package email_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"parley/transports/email"
)

// fakeSMTP is an SMTP server that answers as it is told to.
type fakeSMTP struct {
	// answers are by command ("MAIL"), by whole line ("RCPT TO:<a@example.org>"), or
	// by "greeting" and "." for the end of the data. closeIt closes the connection
	// instead, hang says nothing more.
	answers map[string]string

	mu    sync.Mutex
	lines []string
	mails []string
}

const (
	closeIt = "close"
	hang    = "hang"
)

var usual = map[string]string{
	"greeting": "220 mx.example.com ESMTP",
	"EHLO":     "250-mx.example.com\r\n250-AUTH PLAIN LOGIN XOAUTH2\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 40000000",
	"AUTH":     "235 2.7.0 ok", "MAIL": "250 2.1.0 ok", "RCPT": "250 2.1.5 ok", "DATA": "354 go on",
	".": "250 2.0.0 queued", "QUIT": "221 2.0.0 bye", "*": "501 5.7.0 cancelled",
}

// serve talks to one client.
func (f *fakeSMTP) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	answer := func(keys ...string) bool {
		for _, from := range []map[string]string{f.answers, usual} {
			for _, key := range keys {
				switch said, ok := from[key]; {
				case !ok:
				case said == closeIt:
					return false
				case said == hang:
					_, _ = io.Copy(io.Discard, in)
					return false
				default:
					_, err := io.WriteString(conn, said+"\r\n")
					return err == nil && (key != "greeting" || strings.HasPrefix(said, "220"))
				}
			}
		}
		_, err := io.WriteString(conn, "502 5.5.1 what?\r\n")
		return err == nil
	}
	if !answer("greeting") {
		return
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, _, _ := strings.Cut(line, " ")
		f.note(line)
		if !answer(line, verb) || verb == "QUIT" {
			return
		}
		if verb != "DATA" || f.answers["DATA"] != "" {
			continue
		}
		var mail strings.Builder
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if strings.TrimRight(line, "\r\n") == "." {
				break
			}
			mail.WriteString(strings.TrimPrefix(line, "."))
		}
		f.mu.Lock()
		f.mails = append(f.mails, mail.String())
		f.mu.Unlock()
		if !answer(".") {
			return
		}
	}
}

func (f *fakeSMTP) note(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, line)
}

// said reports whether a client gave that command.
func (f *fakeSMTP) said(beginning string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, line := range f.lines {
		if strings.HasPrefix(line, beginning) {
			return true
		}
	}
	return false
}

func (f *fakeSMTP) taken() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.mails)
}

// The addresses that a pipe answers on.
const (
	imapAt = "127.0.0.1:143"
	smtpAt = "127.0.0.1:25"
)

// pipes connects to servers within the test.
func pipes(t testing.TB, servers map[string]func(net.Conn)) email.Dial {
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	return func(_ context.Context, _, address string) (net.Conn, error) {
		serve, ok := servers[address]
		if !ok {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connection refused by %s", address)}
		}
		ours, theirs := net.Pipe()
		running.Go(func() { serve(theirs) })
		t.Cleanup(func() { _ = ours.Close() })
		return ours, nil
	}
}
