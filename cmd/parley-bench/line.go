package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// answerTimeout is how long a line waits for an answer before it sends again.
const answerTimeout = 15 * time.Second

// line is one kept-alive connection of the generator. It speaks just enough
// HTTP/1.1 to cost little: the generator shares the machine with what it
// measures.
type line struct {
	g        *generator
	number   int
	conn     net.Conn
	in       *bufio.Reader
	request  []byte
	content  []byte
	accepted []accepted
	retries  int
}

// run sends one message after the other until the deadline.
func (l *line) run(ctx context.Context, began, deadline time.Time) error {
	addresses := strings.Fields(l.g.URL)
	u, err := url.Parse(addresses[l.number%len(addresses)])
	if err != nil {
		return err
	}
	head := "POST " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host +
		"\r\nContent-Type: application/json\r\nX-Telegram-Bot-Api-Secret-Token: " + l.g.Secret + "\r\nContent-Length: "
	defer func() {
		if l.conn != nil {
			_ = l.conn.Close()
		}
	}()
	for n := 0; ctx.Err() == nil && time.Now().Before(deadline); n++ {
		if l.g.Rate > 0 {
			time.Sleep(time.Until(began.Add(l.due(n))))
		}
		m := update{run: l.g.Run, sent: time.Now()}
		var more bool
		if m.sender, m.counter, more = l.turn(n); !more {
			return nil
		}
		l.content = m.body(l.content[:0])
		l.request = append(l.request[:0], head...)
		l.request = strconv.AppendInt(l.request, int64(len(l.content)), 10)
		l.request = append(l.request, "\r\n\r\n"...)
		l.request = append(l.request, l.content...)
		for tries := 0; ; tries++ {
			code, err := l.post(ctx, u.Host)
			if err == nil && code/100 == 2 {
				break
			}
			if tries == 100 || ctx.Err() != nil {
				return fmt.Errorf("given up on a message: status %d, %w", code, errors.Join(err, ctx.Err()))
			}
			l.retries++
			time.Sleep(100 * time.Millisecond)
		}
		l.accepted = append(l.accepted, accepted{m.sender, m.counter, m.sent, time.Since(m.sent)})
	}
	return ctx.Err()
}

// due is when this line's nth message is to leave, if there is a rate: the lines take
// turns.
func (l *line) due(n int) time.Duration {
	place := l.number + n*l.g.Connections
	return time.Duration(float64(place) / l.g.Rate * float64(time.Second))
}

// turn is who sends this line's nth message, and which of theirs it is. A sender
// belongs to one line, so that what they write is written one after the other.
func (l *line) turn(n int) (sender int64, counter int, more bool) {
	place := int64(l.number) + int64(n)*int64(l.g.Connections)
	if l.g.Senders == 0 {
		return l.g.First + place, 1, true
	}
	// The senders of this line are number, number+connections, and so on.
	mine := (l.g.Senders - l.number + l.g.Connections - 1) / l.g.Connections
	if mine <= 0 {
		return 0, 0, false
	}
	counter = n/mine + 1
	place = int64(l.number) + int64(n%mine)*int64(l.g.Connections)
	return l.g.First + place*max(l.g.Stride, 1), counter, l.g.Each == 0 || counter <= l.g.Each
}

// post sends the request and reads the answer's status.
func (l *line) post(ctx context.Context, host string) (code int, err error) {
	if l.conn == nil {
		var d net.Dialer
		if l.conn, err = d.DialContext(ctx, "tcp", host); err != nil {
			return 0, err
		}
		l.in = bufio.NewReader(l.conn)
	}
	defer func() {
		if err != nil {
			_ = l.conn.Close()
			l.conn = nil
		}
	}()
	if err := l.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, err
	}
	if _, err := l.conn.Write(l.request); err != nil {
		return 0, err
	}
	return l.answer()
}

var (
	lengthHeader = []byte("content-length:")
	closeHeader  = []byte("connection: close")
)

// answer reads one response. Chunked bodies are not understood: Parley's answers
// have none.
func (l *line) answer() (code int, err error) {
	length, hangUp := 0, false
	for first := true; ; first = false {
		text, err := l.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		text = bytes.TrimRight(text, "\r\n")
		switch {
		case first:
			if len(text) < 12 {
				return 0, fmt.Errorf("not an HTTP answer: %q", text)
			}
			if code, err = strconv.Atoi(string(text[9:12])); err != nil {
				return 0, err
			}
		case len(text) == 0:
			if _, err := l.in.Discard(length); err != nil && !errors.Is(err, io.EOF) {
				return 0, err
			}
			if hangUp {
				_ = l.conn.Close()
				l.conn = nil
			}
			return code, nil
		case len(text) > len(lengthHeader) && bytes.EqualFold(text[:len(lengthHeader)], lengthHeader):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(text[len(lengthHeader):]))); err != nil {
				return 0, err
			}
		case bytes.EqualFold(text, closeHeader):
			hangUp = true
		}
	}
}
