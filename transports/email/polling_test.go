package email_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/events"
	"parley/transports/email"
)

// waitTime is how long anything may take on a busy machine. It is far below the
// 300 s after which a mailbox is looked at without IDLE.
const waitTime = 30 * time.Second

// direct is the network as it is.
func direct(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

// polling is a Poll in the background.
type polling struct {
	t    testing.TB
	evs  chan events.Inbound
	done chan error
	stop context.CancelFunc

	mu     sync.Mutex
	cursor string
	// moved is told after each emit.
	moved chan struct{}
	// refuse makes emit fail once so many events were taken.
	refuse int
	taken  int
}

func startPolling(t testing.TB, m *email.Mailbox, cursor string) *polling {
	return startRefusing(t, m, cursor, 1<<30)
}

func startRefusing(t testing.TB, m *email.Mailbox, cursor string, refuse int) *polling {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &polling{
		t: t, evs: make(chan events.Inbound, 1<<16), done: make(chan error, 1), stop: cancel,
		cursor: cursor, moved: make(chan struct{}, 1<<16), refuse: refuse,
	}
	go func() {
		p.done <- m.Poll(ctx, cursor, func(_ context.Context, evs []events.Inbound, cursor string) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.taken+len(evs) > p.refuse {
				return errRefused
			}
			p.taken += len(evs)
			for _, ev := range evs {
				p.evs <- ev
			}
			p.cursor = cursor
			p.moved <- struct{}{}
			return nil
		})
	}()
	t.Cleanup(cancel)
	return p
}

// at is the durable cursor.
func (p *polling) at() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cursor
}

// next waits for n events.
func (p *polling) next(n int) []events.Inbound {
	p.t.Helper()
	var all []events.Inbound
	for len(all) < n {
		select {
		case ev := <-p.evs:
			all = append(all, ev)
		case err := <-p.done:
			p.done <- err
			// What was emitted before comes first.
			select {
			case ev := <-p.evs:
				all = append(all, ev)
				continue
			default:
			}
			p.t.Fatalf("Poll ended after %d of %d events: %v", len(all), n, err)
		case <-time.After(waitTime):
			p.t.Fatalf("%d of %d events", len(all), n)
		}
	}
	return all
}

// begun waits for the first emit, which tells that the mailbox was looked at.
func (p *polling) begun() {
	p.t.Helper()
	select {
	case <-p.moved:
	case err := <-p.done:
		p.t.Fatal(err)
	case <-time.After(waitTime):
		p.t.Fatal("the mailbox was not looked at")
	}
}

// ended waits for Poll's error.
func (p *polling) ended() error {
	p.t.Helper()
	select {
	case err := <-p.done:
		return err
	case <-time.After(waitTime):
		p.t.Fatal("Poll does not end")
		return nil
	}
}

// end stops Poll, and wants no more events.
func (p *polling) end() {
	p.t.Helper()
	p.stop()
	if err := p.ended(); !errors.Is(err, context.Canceled) {
		p.t.Errorf("Poll ended with %v", err)
	}
	select {
	case ev := <-p.evs:
		p.t.Errorf("an event too many: %s %+v", ev.Kind, ev.Key)
	default:
	}
}

// letter is the nth mail of a test.
func letter(n int, body string) string {
	return fmt.Sprintf("From: Anna <anna@example.org>\r\nTo: <office@example.com>\r\nDate: Mon, 02 Nov 2026 09:00:00 +0000\r\n"+
		"Message-ID: <mail-%d@example.org>\r\nSubject: Mail %d\r\n\r\n%s\r\n", n, n, body)
}

// ids are the Message-IDs of messages, in order.
func ids(evs []events.Inbound) (all []string) {
	for _, ev := range evs {
		all = append(all, strings.Split(ev.Key.Message, "#")[0])
	}
	return all
}

func expect(t testing.TB, evs []events.Inbound, want ...int) {
	t.Helper()
	var all []string
	for _, n := range want {
		all = append(all, fmt.Sprintf("mail-%d@example.org", n))
	}
	if got := ids(evs); strings.Join(got, " ") != strings.Join(all, " ") {
		t.Errorf("got %v, want %v", got, all)
	}
}
