package email_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"parley/events"
	"parley/transports/email"
)

var errRefused = errors.New("the bus takes nothing")

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
