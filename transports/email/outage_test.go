package email_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
	"parley/transports/email"
)

// TestServerRestart loses and repeats nothing when the server goes away.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	d := startDovecot(t, "")
	m := newMailbox(t, d.settings(nil), direct)
	p := startPolling(t, m, "")
	for range 2 {
		p.begun()
	}
	d.deliver(t, letter(1, "one"))
	expect(t, p.next(1), 1)
	d.run.stop(t)
	if err := p.ended(); err == nil {
		t.Error("Poll ended without an error")
	}
	err := startPolling(t, m, p.at()).ended()
	if err == nil || errors.Is(err, transports.ErrCredentials) || !strings.Contains(err.Error(), "IMAP server") {
		t.Errorf("without a server: %v", err)
	}
	d.run.start(t, d.imap, d.lmtp)
	d.deliver(t, letter(2, "two"))
	p = startPolling(t, m, p.at())
	expect(t, p.next(1), 2)
	d.deliver(t, letter(3, "three"))
	expect(t, p.next(1), 3)
	p.end()
}

// TestUIDValidityChanges reads the folder again, under the same keys, and goes
// on from there.
func TestUIDValidityChanges(t *testing.T) {
	t.Parallel()
	d := startDovecot(t, "")
	settings := d.settings(map[string]string{"since": "2020-01-01", "sent": "off"})
	d.deliver(t, letter(1, "one"), letter(2, "two"))
	p := startPolling(t, newMailbox(t, settings, direct), "")
	before := p.next(2)
	p.end()
	d.run.stop(t)
	d.forgetUIDs(t)
	d.run.start(t, d.imap, d.lmtp)
	d.deliver(t, letter(3, "three"))
	p = startPolling(t, newMailbox(t, settings, direct), p.at())
	again := p.next(3)
	known := map[events.MessageKey]bool{again[0].Key: true, again[1].Key: true, again[2].Key: true}
	for _, ev := range before {
		if !known[ev.Key] {
			t.Errorf("%v is another message now", ev.Key)
		}
	}
	d.deliver(t, letter(4, "four"))
	expect(t, p.next(1), 4)
	p.end()
}

// cutting lets so many bytes through per connection.
func cutting(limit int64) email.Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := direct(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := &cutConn{Conn: conn}
		c.left.Store(limit)
		return c, nil
	}
}

type cutConn struct {
	net.Conn
	left atomic.Int64
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.left.Add(int64(-n)) < 0 {
		_ = c.Close()
		return 0, errors.New("connection reset by peer")
	}
	return n, err
}

// TestCutMidFetch cuts the connection within mails, again and again: every mail
// is emitted once, in order.
func TestCutMidFetch(t *testing.T) {
	t.Parallel()
	d := startDovecot(t, "")
	const mails = 80 // two batches and a half
	var (
		all  []string
		want []int
	)
	for n := range mails {
		all = append(all, letter(n, strings.Repeat("large\r\n", 3000)))
		want = append(want, n)
	}
	d.deliver(t, all...)
	settings := d.settings(map[string]string{"since": "2020-01-01", "sent": "off"})
	// Each connection gets through one batch of 32 mails, and breaks within the
	// second.
	m := newMailbox(t, settings, cutting(1<<20))
	var got []events.Inbound
	cursor, cuts := "", 0
	for len(got) < mails {
		p := startPolling(t, m, cursor)
		for broken := false; !broken && len(got) < mails; {
			select {
			case ev := <-p.evs:
				got = append(got, ev)
			case err := <-p.done:
				if err == nil {
					t.Fatal("Poll ended without an error")
				}
				broken = true
			case <-time.After(waitTime):
				t.Fatalf("%d of %d mails", len(got), mails)
			}
		}
		for len(p.evs) > 0 {
			got = append(got, <-p.evs)
		}
		cursor = p.at()
		p.stop()
		if cuts++; cuts > mails {
			t.Fatalf("%d connections for %d mails", cuts, len(got))
		}
	}
	expect(t, got, want...)
	if cuts < 2 {
		t.Error("no connection was cut")
	}
}
