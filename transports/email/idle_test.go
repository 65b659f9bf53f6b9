package email_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/transports/email"
)

// tap records the commands of every connection, without their tags.
type tap struct {
	mu       sync.Mutex
	commands []string
	heard    chan struct{}
}

func (p *tap) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := direct(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &tapped{Conn: conn, tap: p}, nil
}

var _ email.Dial = (*tap)(nil).dial

type tapped struct {
	net.Conn
	tap  *tap
	rest []byte
}

func (c *tapped) Write(b []byte) (int, error) {
	c.rest = append(c.rest, b...)
	for {
		line, rest, whole := bytes.Cut(c.rest, []byte("\r\n"))
		if !whole {
			break
		}
		c.rest = rest
		c.tap.note(string(line))
	}
	return c.Conn.Write(b)
}

func (p *tap) note(line string) {
	if _, command, tagged := strings.Cut(line, " "); tagged {
		line = command
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commands = append(p.commands, line)
	select {
	case p.heard <- struct{}{}:
	default:
	}
}

// count is how many commands begin with that.
func (p *tap) count(command string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.commands {
		if strings.HasPrefix(c, command) {
			n++
		}
	}
	return n
}

// until waits until there were that many.
func (p *tap) until(t *testing.T, command string, n int) {
	t.Helper()
	deadline := time.After(waitTime)
	for p.count(command) < n {
		select {
		case <-p.heard:
		case <-deadline:
			t.Fatalf("%d of %d %s", p.count(command), n, command)
		}
	}
}

// IDLE is ended and begun anew whenever the setting "poll" has passed, which is
// below 29 minutes; and a folder whose HIGHESTMODSEQ is what it was is not
// searched again. News still arrive at once.
func TestIDLEIsRenewed(t *testing.T) {
	t.Parallel()
	d := startDovecot(t, "")
	p := &tap{heard: make(chan struct{}, 1)}
	// Settings that would let IDLE go on for longer are refused: TestNewRefuses.
	poll := startPolling(t, newMailbox(t, d.settings(map[string]string{"poll": "1", "sent": "off"}), p.dial), "")
	poll.begun()
	d.deliver(t, letter(1, "first"))
	expect(t, poll.next(1), 1)
	p.until(t, "IDLE", p.count("IDLE")+2) // whatever that mail still leads to
	searched, idled, ended, selected := p.count("UID SEARCH"), p.count("IDLE"), p.count("DONE"), p.count("EXAMINE")
	p.until(t, "IDLE", idled+3)
	if p.count("UID SEARCH") != searched {
		t.Errorf("searched %d times although nothing changed", p.count("UID SEARCH")-searched)
	}
	if p.count("DONE") < ended+3 || p.count("EXAMINE") < selected+3 {
		t.Errorf("IDLE ended %d times, the folder was looked at %d times", p.count("DONE")-ended, p.count("EXAMINE")-selected)
	}
	d.deliver(t, letter(2, "second"))
	expect(t, poll.next(1), 2)
	poll.end()
}
