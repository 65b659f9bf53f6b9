package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// heldAtMost is how long a connection that says nothing useful may be kept: the
// servers' bound on headers, and on a webhook's body, is 10 s.
const heldAtMost = 12 * time.Second

// rawAttackers speak no proper HTTP.
func (w *attackWorld) rawAttackers() []attacker {
	return []attacker{
		{kind: "oversized headers and bodies", try: w.oversized},
		{kind: "smuggled and malformed requests", try: w.smuggle},
		{kind: "slow headers", try: w.slowHeaders, hands: 32},
		{kind: "slow webhook bodies", try: w.slowBody, hands: 32},
		{kind: "the bus without credentials", try: w.bus},
	}
}

// raw sends bytes and reads the answers' statuses until the server hangs up or
// nothing more comes.
func (w *attackWorld) raw(ctx context.Context, host string, parts ...string) (codes []int, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	for _, part := range parts {
		if _, err := io.WriteString(conn, part); err != nil {
			break // it hung up already, maybe with an answer
		}
	}
	in := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return codes, nil //nolint:nilerr // hanging up, or silence, is an answer
		}
		codes = append(codes, res.StatusCode)
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return codes, nil //nolint:nilerr // likewise
		}
		_ = res.Body.Close()
		if res.Close {
			return codes, nil
		}
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // another, smuggled?
	}
}

func (w *attackWorld) hosts() (hook, api string) {
	return w.server.listen, strings.TrimSuffix(strings.TrimPrefix(w.api, "http://"), "/api/v1")
}

// oversized is told whole, in pieces, and not at all how long it is.
func (w *attackWorld) oversized(ctx context.Context, n int, a *attempts) error {
	hook, api := w.hosts()
	host, path := hook, "/webhook/"+w.bot.channel.WebhookPath
	if n%2 == 1 {
		host, path = api, "/api/v1/session"
	}
	head := "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + telegramSecret + ": " + w.bot.secret + "\r\n"
	mega := strings.Repeat("a", 1<<20)
	var parts []string
	switch n / 2 % 6 {
	case 0:
		parts = []string{head, fmt.Sprintf("Content-Length: %d\r\n\r\n", 5<<20), mega, mega, mega, mega, mega}
	case 1:
		parts = []string{head, "Transfer-Encoding: chunked\r\n\r\n"}
		for range 4 {
			parts = append(parts, fmt.Sprintf("%x\r\n", len(mega)), mega, "\r\n")
		}
		parts = append(parts, "0\r\n\r\n")
	case 2:
		parts = []string{head, "X-Large: ", mega, "\r\nContent-Length: 0\r\n\r\n"}
	case 3:
		parts = []string{head, strings.Repeat("X-Many: a\r\n", 20_000), "Content-Length: 0\r\n\r\n"}
	case 4:
		parts = []string{head, "Content-Length: 9223372036854775807\r\n\r\n", mega, mega}
	case 5:
		parts = []string{"POST /" + mega + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"}
	}
	codes, err := w.raw(ctx, host, parts...)
	return tellAll(a, codes, err, fmt.Sprintf("oversized %d at %s", n/2%6, path))
}

// tellAll counts an attempt with whatever answers came.
func tellAll(a *attempts, codes []int, err error, what string) error {
	if err != nil {
		return err
	}
	worst, in := 0, false
	for _, code := range codes {
		worst = max(worst, code)
		in = in || code/100 == 2
	}
	a.tell(in, worst, what)
	return nil
}

// smuggle hides a request in another, for servers and proxies that read
// differently. Nothing of it has credentials, so nothing may succeed.
func (w *attackWorld) smuggle(ctx context.Context, n int, a *attempts) error {
	hook, api := w.hosts()
	hidden := "GET /api/v1/chats HTTP/1.1\r\nHost: x\r\n\r\n"
	heads := []string{
		"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n" + hidden,
		"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
		"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
		"GET /api/v1/chats HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "GET /api/v1/chats HTTP/1.1\r\n\r\n", "GET /api/v1/chats\r\n\r\n",
		"GET http://127.0.0.1/api/v1/chats HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n",
		"GET /api/v1/chats HTTP/1.1\r\nHost: x\r\nCookie: parley\r\n obs-fold: 1\r\n\r\n", "GET /api/v1/chats HTTP/1.1\r\nHost: x\r\nA\x00B: c\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TRACE / HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\n",
		"POST /api/v1/session HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	}
	host := api
	if n%2 == 1 {
		host = hook
	}
	head := heads[n/2%len(heads)]
	codes, err := w.raw(ctx, host, head)
	if strings.HasPrefix(head, "OPTIONS *") {
		codes = nil // net/http answers it by itself, with nothing
	}
	return tellAll(a, codes, err, fmt.Sprintf("%q", head))
}

// slowly sends a byte every half a second until the server hangs up. Being kept for
// longer than the bound counts as having got in.
func (w *attackWorld) slowly(ctx context.Context, a *attempts, host, head string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	began := time.Now()
	if _, err := io.WriteString(conn, head); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, conn) // until either side hangs up
	}()
	drip := time.NewTicker(500 * time.Millisecond)
	defer drip.Stop()
	for {
		select {
		case <-gone:
			// Also where the attack is over: it was tried, and held no longer.
			a.tell(time.Since(began) > w.held, 0, "held for "+time.Since(began).String())
			return nil
		case <-drip.C:
			if _, err := io.WriteString(conn, "a"); err != nil && !errors.Is(err, net.ErrClosed) {
				<-gone
				a.tell(time.Since(began) > w.held, 0, "held for "+time.Since(began).String())
				return nil
			}
			if time.Since(began) > 2*w.held {
				a.tell(true, 0, "held for more than "+time.Since(began).String())
				return nil
			}
		}
	}
}

func (w *attackWorld) slowHeaders(ctx context.Context, n int, a *attempts) error {
	hook, api := w.hosts()
	return w.slowly(ctx, a, []string{hook, api}[n%2], "POST /webhook/x HTTP/1.1\r\nHost: x\r\nX-Slow: ")
}

func (w *attackWorld) slowBody(ctx context.Context, n int, a *attempts) error {
	hook, _ := w.hosts()
	path := []string{w.bot.channel.WebhookPath, "nobody's", w.numbers[0].WebhookPath}[n%3]
	return w.slowly(ctx, a, hook, "POST /webhook/"+path+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{")
}

// natsHost is where the embedded bus listens.
func (w *attackWorld) natsHost() (string, error) {
	data, err := os.ReadFile(filepath.Join(w.dir, "parley", "nats", "nats.json"))
	if err != nil {
		return "", err
	}
	var at struct{ URL string }
	if err := json.Unmarshal(data, &at); err != nil {
		return "", err
	}
	u, err := url.Parse(at.URL)
	if err != nil {
		return "", err
	}
	return u.Host, nil
}

// bus talks to the embedded NATS server, which listens on loopback.
func (w *attackWorld) bus(ctx context.Context, n int, a *attempts) error {
	host, err := w.natsHost()
	if err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	connect := []string{`{}`, `{"user":"parley","pass":"parley"}`, `{"user":"","pass":""}`, `{"auth_token":"x"}`, `{"user":"admin","pass":"admin","account":"SYS"}`}[n%5]
	if _, err := io.WriteString(conn, "CONNECT "+connect+"\r\nSUB parley.> 1\r\nPING\r\n"); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		switch {
		case strings.HasPrefix(line, "PONG"), strings.HasPrefix(line, "MSG"):
			a.tell(true, 0, connect+" "+line)
			return nil
		case strings.HasPrefix(line, "-ERR"), err != nil:
			a.tell(false, 0, line)
			return nil
		}
	}
}
