package email_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"parley/events"
	"parley/transports"
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

var errRefused = errors.New("the bus takes nothing")

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

// TestPollByIDLE delivers a mail while the mailbox waits: it is emitted at once,
// and stays unread. What was there before is left alone.
func TestPollByIDLE(t *testing.T) {
	t.Parallel()
	d := startDovecot(t, "")
	d.deliver(t, letter(1, "before"))
	p := startPolling(t, newMailbox(t, d.settings(nil), direct), "")
	for range 2 { // the Sent folder, the inbox
		p.begun()
	}
	d.deliver(t, letter(2, "after"))
	evs := p.next(1)
	expect(t, evs, 2)
	ev := evs[0]
	if ev.Content.Text != "after" || ev.Person.Identity.Value != "anna@example.org" || ev.ProviderTime.IsZero() || time.Since(ev.ProviderTime) > time.Hour {
		t.Errorf("%+v", ev)
	}
	d.deliver(t, letter(3, "again"), letter(4, "and again"))
	expect(t, p.next(2), 3, 4)
	p.end()

	c := d.client(t)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}}, nil).Wait()
	if err != nil || len(found.AllUIDs()) != 4 {
		t.Errorf("%d mails are unread, %v; want all 4", len(found.AllUIDs()), err)
	}

	// From the durable cursor nothing comes twice.
	p = startPolling(t, newMailbox(t, d.settings(nil), direct), p.at())
	d.deliver(t, letter(5, "later"))
	expect(t, p.next(1), 5)
	p.end()
}

// TestFirstImport begins at a chosen date, reads Junk too, and takes the Sent
// folder as ours.
func TestFirstImport(t *testing.T) {
	t.Parallel()
	d := startDovecot(t, "")
	c := d.client(t)
	day := func(n int) time.Time { return time.Date(2026, 6, n, 12, 0, 0, 0, time.UTC) }
	put(t, c, "INBOX", day(1), []byte(letter(1, "too old")))
	put(t, c, "INBOX", day(10), []byte(letter(2, "in time")))
	put(t, c, "INBOX", day(2), []byte(letter(3, "too old, though behind")))
	put(t, c, "INBOX", day(20), []byte(letter(4, "in time")))
	put(t, c, "Junk", day(11), []byte(letter(5, "junk")))
	put(t, c, "Sent", day(12), []byte("From: office@example.com\r\nTo: anna@example.org\r\nMessage-ID: <mail-6@example.org>\r\n\r\nours\r\n"))
	put(t, c, "Sent", day(12), []byte("From: office@example.com\r\nTo: anna@example.org\r\nMessage-ID: <mail-7@example.org>\r\nX-Parley-Message-ID: <mail-7@example.org>\r\n\r\nours\r\n"))
	m := newMailbox(t, d.settings(map[string]string{"since": "2026-06-05", "folders": "Junk, Nowhere", "poll": "2"}), direct)
	p := startPolling(t, m, "")
	evs := p.next(5)
	expect(t, evs, 6, 7, 5, 2, 4)
	if !evs[0].Ours || evs[0].Person.Address != "anna@example.org" || evs[0].Kind != events.Message || evs[1].Kind != events.Ignored {
		t.Errorf("the Sent folder: %+v, %+v", evs[0], evs[1])
	}
	if len(evs[2].Notes) == 0 || evs[2].ProviderTime != day(11) {
		t.Errorf("the Junk folder: %+v", evs[2])
	}
	// A mail moved here later is new, whatever its date.
	put(t, c, "INBOX", day(1), []byte(letter(8, "moved")))
	expect(t, p.next(1), 8)
	// The other folders are looked at now and then.
	put(t, c, "Junk", day(12), []byte(letter(9, "more junk")))
	expect(t, p.next(1), 9)
	p.end()
}

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

// TestEmitFails wants Poll to end with the bus's own error, and the cursor to be
// where the last durable mail is.
func TestEmitFails(t *testing.T) {
	t.Parallel()
	d := startDovecot(t, "")
	const mails = 50 // more than a batch
	var all []int
	for n := range mails {
		d.deliver(t, letter(n, "x"))
		all = append(all, n)
	}
	settings := d.settings(map[string]string{"since": "2020-01-01", "sent": "off"})
	p := startRefusing(t, newMailbox(t, settings, direct), "", 40)
	if err := p.ended(); !errors.Is(err, errRefused) {
		t.Errorf("Poll ended with %v", err)
	}
	taken := len(p.evs)
	got := p.next(taken)
	p = startPolling(t, newMailbox(t, settings, direct), p.at())
	expect(t, append(got, p.next(mails-taken)...), all...)
	p.end()
}

// TestCorpusThroughIMAP puts the hard mails into a folder: each is emitted,
// whatever is before it.
func TestCorpusThroughIMAP(t *testing.T) {
	t.Parallel()
	d := startDovecot(t, "")
	c := d.client(t)
	files, err := filepath.Glob("testdata/mails/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	m := newMailbox(t, d.settings(map[string]string{"since": "2020-01-01", "sent": "off"}), direct)
	want := 0
	for _, file := range files {
		mail, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(mail), "From ") || strings.Contains(string(mail), "\x00") {
			continue // IMAP has neither
		}
		evs, err := m.Reparse(stored(t, inInbox, mail))
		if err != nil {
			t.Fatal(err)
		}
		want += len(evs)
		put(t, c, "INBOX", time.Now(), mail)
	}
	p := startPolling(t, m, "")
	for _, ev := range p.next(want) {
		again, err := m.Reparse(ev.Raw)
		if err != nil || len(again) == 0 {
			t.Errorf("%v cannot be read again: %v", ev.Key, err)
		}
	}
	p.end()
}

// TestReconcile lists what arrived since a day, in all folders.
func TestReconcile(t *testing.T) {
	t.Parallel()
	d := startDovecot(t, "")
	c := d.client(t)
	now := time.Now()
	put(t, c, "INBOX", now.AddDate(0, 0, -30), []byte(letter(1, "long ago")))
	put(t, c, "INBOX", now.AddDate(0, 0, -1), []byte(letter(2, "yesterday")))
	put(t, c, "Sent", now, []byte(letter(3, "sent")))
	put(t, c, "INBOX", now, []byte(letter(4, "today")))
	m := newMailbox(t, d.settings(nil), direct)
	var got []events.Inbound
	emit := func(_ context.Context, evs []events.Inbound) error {
		got = append(got, evs...)
		return nil
	}
	if err := m.Reconcile(t.Context(), now.AddDate(0, 0, -2), emit); err != nil {
		t.Fatal(err)
	}
	expect(t, got, 3, 2, 4)
	if err := m.Reconcile(t.Context(), now, func(context.Context, []events.Inbound) error { return errRefused }); !errors.Is(err, errRefused) {
		t.Errorf("a failed emit ends it with %v", err)
	}
}

// TestLogIn tries the ways to log in, and what is said when they fail.
func TestLogIn(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/introspect" && r.URL.Query().Get("token") == "access-1":
			fmt.Fprintf(w, `{"active":true,"email":%q}`, ownAddress)
		case r.URL.Path == "/introspect":
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"active":false}`)
		case r.FormValue("refresh_token") == "refresh-1":
			fmt.Fprintf(w, `{"access_token":"access-%d","token_type":"Bearer","expires_in":3600}`, asked.Add(1))
		default:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":"invalid_grant","error_description":%q}`, r.FormValue("refresh_token"))
		}
	}))
	defer tokens.Close()
	d := startDovecot(t, checkTokens(t, tokens.URL))

	try := func(settings, secrets map[string]string) error {
		t.Helper()
		a := account(d.settings(settings))
		if secrets != nil {
			a.Secrets = secrets
		}
		m, err := email.NewWithDial(a, direct)
		if err != nil {
			t.Fatal(err)
		}
		p := startPolling(t, m, "")
		select {
		case <-p.moved:
			p.stop()
			_ = p.ended() // as it was told to
			return nil
		case err := <-p.done:
			return err
		}
	}
	withOAuth := map[string]string{"token_url": tokens.URL + "/token", "client_id": "us"}
	imaps := fmt.Sprintf("127.0.0.1:%d", d.imaps)
	if err := try(nil, nil); err != nil {
		t.Errorf("password: %v", err)
	}
	if err := try(map[string]string{"imap_security": "starttls", "ca": d.certificate}, nil); err != nil {
		t.Errorf("STARTTLS: %v", err)
	}
	if err := try(map[string]string{"imap_security": "tls", "imap": imaps, "ca": d.certificate}, nil); err != nil {
		t.Errorf("TLS: %v", err)
	}
	if err := try(map[string]string{"imap_security": "tls", "imap": imaps}, nil); err == nil || errors.Is(err, transports.ErrCredentials) {
		t.Errorf("a certificate nobody vouches for: %v", err)
	}
	if err := try(nil, map[string]string{"password": "wrong-password"}); !errors.Is(err, transports.ErrCredentials) || strings.Contains(err.Error(), "wrong-password") {
		t.Errorf("a wrong password: %v", err)
	}
	if err := try(withOAuth, map[string]string{"refresh_token": "refresh-1"}); err != nil {
		t.Errorf("XOAUTH2: %v", err)
	}
	// The second access token is none that the server knows.
	if err := try(withOAuth, map[string]string{"refresh_token": "refresh-1"}); !errors.Is(err, transports.ErrCredentials) || strings.Contains(err.Error(), "access-2") {
		t.Errorf("a refused access token: %v", err)
	}
	if err := try(withOAuth, map[string]string{"refresh_token": "refresh-2"}); !errors.Is(err, transports.ErrCredentials) || strings.Contains(err.Error(), "refresh-2") {
		t.Errorf("a withdrawn refresh token: %v", err)
	}
}

// TestMailThatCannotBeFetched wants a mail that the server stumbles over to be
// shown as such, and those around it as ever.
func TestMailThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	var bodies [][]byte
	for n := range 5 {
		bodies = append(bodies, []byte(letter(n, "x")))
	}
	bodies[2] = broken
	p := startPolling(t, polled(t, bodies).(*email.Mailbox), "")
	evs := p.next(5)
	for n, ev := range evs {
		unreadable := ev.Content.Mail.Unreadable
		if (n == 2) != strings.Contains(unreadable, "the disk is tired") {
			t.Errorf("mail %d: %q", n, unreadable)
		}
	}
	if again, err := newMailbox(t, nil, nil).Reparse(evs[2].Raw); err != nil || len(again) != 1 || again[0].Key != evs[2].Key || !evs[2].Key.Valid() {
		t.Errorf("%v read again is %v, %v", evs[2].Key, again, err)
	}
	p.end()
}
