package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// mailStandIn is a mail server that takes what it is given.
func mailStandIn(t *testing.T) (addr string, mails chan string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	mails = make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go takeMail(conn, mails)
		}
	}()
	return l.Addr().String(), mails
}

func takeMail(conn net.Conn, mails chan<- string) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	say := func(line string) { _, _ = fmt.Fprint(conn, line+"\r\n") }
	say("220 here")
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		switch verb, _, _ := strings.Cut(strings.ToUpper(lines.Text()), " "); verb {
		case "EHLO", "MAIL", "RCPT":
			say("250 yes")
		case "DATA":
			say("354 go on")
			var mail strings.Builder
			for lines.Scan() && lines.Text() != "." {
				mail.WriteString(lines.Text() + "\n")
			}
			mails <- mail.String()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("502 no")
		}
	}
}

// An agent without a page open is told of a message once, by mail and by Telegram,
// with a link to the chat; one who has a page open is not.
func TestAlerts(t *testing.T) {
	t.Parallel()
	smtpAt, mails := mailStandIn(t)
	telegram, address := startTelegram(t)
	dir := dataFolder(t)
	var told notice
	p := start(t, Config{
		DataDir: dir, APIListen: "127.0.0.1:0", Notice: &told, AlertSMTP: "smtp://" + smtpAt + "?from=inbox@example.com",
	})
	annJoins(t, &told)
	p.connect(t, address)
	round := func() int {
		t.Helper()
		n, err := p.Desk.AlertRound(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if out := parley(t, dir, "alerts", "show", "2"); !strings.Contains(out, "told nothing") {
		t.Errorf("at first: %s", out)
	}
	if out := parley(t, dir, "alerts", "set", "2", "--way", "mail", "--after", "0s"); !strings.Contains(out, "by mail") {
		t.Errorf("it says %s", out)
	}
	if _, err := telegram.Person("anna").Say("the secret question"); err != nil {
		t.Fatal(err)
	}
	awaitFacts(t, dir, 1, "message", "received", 1)
	round() // or the worker was first
	select {
	case mail := <-mails:
		for _, want := range []string{"To: <ann@example.com>", "From: <inbox@example.com>", "Auto-Submitted: auto-generated", "/inbox/1", "anna"} {
			if !strings.Contains(strings.ToLower(mail), strings.ToLower(want)) {
				t.Errorf("the mail lacks %q: %s", want, mail)
			}
		}
		if strings.Contains(mail, "secret question") {
			t.Errorf("the mail tells what the client wrote: %s", mail)
		}
	case <-time.After(patience):
		t.Fatal("no mail came")
	}
	if n := round(); n != 0 || len(mails) != 0 {
		t.Errorf("the same again: %d", n)
	}

	// By Telegram: the agent has written to the bot.
	agent := telegram.Person("agent")
	if _, err := agent.Say("/start"); err != nil {
		t.Fatal(err)
	}
	awaitFacts(t, dir, 2, "message", "received", 1)
	parley(t, dir, "alerts", "bot", "Sandbox")
	parley(t, dir, "alerts", "set", "2", "--way", "telegram", "--telegram", fmt.Sprint(agent.ID()), "--after", "0s")
	if _, err := telegram.Person("ben").Say("hello"); err != nil {
		t.Fatal(err)
	}
	awaitFacts(t, dir, 3, "message", "received", 1)
	for deadline := time.Now().Add(patience); ; {
		round()
		phone := agent.Phone()
		if last := phone[len(phone)-1]; last.FromBot && strings.Contains(last.Text, "/inbox/3") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the agent's phone shows %+v", phone)
		}
	}

	// With a page open.
	leave := openPage(t, p)
	defer leave()
	if err := p.Desk.NotePresence(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := telegram.Person("carl").Say("hello"); err != nil {
		t.Fatal(err)
	}
	awaitFacts(t, dir, 4, "message", "received", 1)
	if n := round(); n != 0 {
		t.Errorf("with a page open, %d alerts", n)
	}
	for _, m := range agent.Phone() {
		if strings.Contains(m.Text, "/inbox/4") {
			t.Errorf("with a page open the phone shows %q", m.Text)
		}
	}
}

// openPage logs in and follows what happens, as the inbox does, until leave.
func openPage(t *testing.T, p *program) (leave func()) {
	t.Helper()
	res, err := http.Post(p.Pages+"/api/v1/session", "application/json", strings.NewReader(`{"email":"ann@example.com","password":"correct horse battery"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Pages+"/api/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		req.AddCookie(c)
	}
	stream, err := http.DefaultClient.Do(req) //nolint:bodyclose // leave does
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(stream.Body).ReadString('\n'); err != nil || stream.StatusCode != http.StatusOK {
		t.Fatalf("the page follows: %s, %v", stream.Status, err)
	}
	return func() { _ = stream.Body.Close() }
}
