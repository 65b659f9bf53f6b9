package email

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"parley/events"
	"parley/transports"
)

// What is fetched at once: few round trips for small mails, bounded memory for
// large ones.
const (
	batchMails = 32
	batchBytes = 4 << 20
	// maxMail is the largest mail that is fetched whole, in bytes: what the large
	// providers take, and base64's third
	// (https://support.google.com/a/answer/1366776). Of a larger one only
	// maxBeginning comes.
	maxMail      = 70 << 20
	maxBeginning = 1 << 20
)

// Poll implements [transports.Poller]. It reads all folders, then waits in IDLE
// on the inbox; "poll" seconds later at the latest it looks at all again.
func (m *Mailbox) Poll(ctx context.Context, from string, emit transports.Emit) error {
	cur, err := readCursor(from)
	if err != nil {
		return err
	}
	s, err := m.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	r := &reader{session: s, cur: cur, emit: emit}
	err = r.run(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var kept *keepError
	if errors.As(err, &kept) {
		return err // the gateway's own
	}
	return m.redact.Error("read the mailbox", err)
}

// keepError is an emit that failed.
type keepError struct{ err error }

func (e *keepError) Error() string { return "email: keep mails: " + e.err.Error() }
func (e *keepError) Unwrap() error { return e.err }

// reader reads folders into emit.
type reader struct {
	*session
	cur  cursor
	emit transports.Emit
}

func (r *reader) run(ctx context.Context) error {
	folders, err := r.folders()
	if err != nil {
		return err
	}
	var all time.Time // when all were last looked at
	for {
		// News are of the inbox, which is open: nothing else delays them.
		look := folders[len(folders)-1:]
		if time.Since(all) >= r.m.interval {
			look, all = folders, time.Now()
		}
		for _, f := range look {
			err := r.catchUp(ctx, f)
			if isNo(err) && f.name != inbox {
				continue // a folder that is not there keeps no mail back; Check says so
			}
			if err != nil {
				return err
			}
		}
		if err := r.idle(ctx, max(r.m.interval-time.Since(all), time.Second)); err != nil {
			return err
		}
	}
}

// isNo tells a command that the server refused from a connection that broke.
func isNo(err error) bool {
	var no *imap.Error
	return errors.As(err, &no) && no.Type == imap.StatusResponseTypeNo
}

// catchUp reads what is new in a folder, and leaves it open.
func (r *reader) catchUp(ctx context.Context, f folder) error {
	data, err := r.examine(f.name)
	if err != nil {
		return err
	}
	at, known := r.cur.Folders[f.name]
	if !known || at.Validity != data.UIDValidity {
		at = r.m.start(at, known, data)
		// What was there before is left out from here on, whatever comes next.
		if err := r.keep(ctx, f, at, nil); err != nil {
			return err
		}
	}
	if known && at.ModSeq != 0 && at.ModSeq == data.HighestModSeq {
		return nil
	}
	uids, err := r.search(at)
	if err != nil {
		return fmt.Errorf("look for new mail in %s: %w", f.name, err)
	}
	err = r.fetch(ctx, f, data.UIDValidity, uids, func(evs []events.Inbound, last imap.UID) error {
		at.UID = uint32(last)
		return r.keep(ctx, f, at, evs)
	})
	if err != nil {
		return err
	}
	if data.HighestModSeq != at.ModSeq {
		// Mails that came while these were fetched raised it further: they are found
		// next time. It need not be durable, so it travels with the next event.
		at.ModSeq = data.HighestModSeq
		r.cur = r.cur.with(f.name, at)
	}
	return nil
}

// start is where a folder is begun: at the chosen date, or behind what is there
// now. A folder whose UIDs were given out anew is begun again: what is known by
// its content stays one message.
func (m *Mailbox) start(before place, known bool, data *imap.SelectData) place {
	at := place{Validity: data.UIDValidity, Since: m.since, Until: uint32(max(data.UIDNext, 1) - 1)}
	switch {
	case known:
		at.Since = before.Since
	case m.since.IsZero():
		at.UID = at.Until
		// A day of margin: SINCE disregards time zones (RFC 9051, section 6.4.4).
		at.Since = time.Now().UTC().AddDate(0, 0, -1).Truncate(24 * time.Hour)
	}
	return at
}

// keep emits, with the cursor behind.
func (r *reader) keep(ctx context.Context, f folder, at place, evs []events.Inbound) error {
	next := r.cur.with(f.name, at)
	if err := r.emit(ctx, evs, next.String()); err != nil {
		return &keepError{err}
	}
	r.cur = next
	return nil
}

// search finds the UIDs behind a place, in order.
func (s *session) search(at place) ([]imap.UID, error) {
	above := func(uid uint32) *imap.SearchCriteria {
		var set imap.UIDSet
		set.AddRange(imap.UID(uid)+1, 0)
		return &imap.SearchCriteria{UID: []imap.UIDSet{set}}
	}
	var uids []imap.UID
	if at.UID < at.Until {
		var old imap.UIDSet
		old.AddRange(imap.UID(at.UID)+1, imap.UID(at.Until))
		found, err := s.uids(&imap.SearchCriteria{UID: []imap.UIDSet{old}, Since: at.Since})
		if err != nil {
			return nil, err
		}
		uids = found
	}
	found, err := s.uids(above(max(at.UID, at.Until)))
	if err != nil {
		return nil, err
	}
	// "n:*" names the last mail even when it is below n (RFC 9051, section 6.4.8).
	for _, uid := range found {
		if uint32(uid) > max(at.UID, at.Until) {
			uids = append(uids, uid)
		}
	}
	return uids, nil
}

func (s *session) uids(criteria *imap.SearchCriteria) (uids []imap.UID, err error) {
	err = s.within(commandTime, func() error {
		data, err := s.c.UIDSearch(criteria, nil).Wait()
		if err == nil {
			uids = data.AllUIDs()
		}
		return err
	})
	slices.Sort(uids)
	return slices.Compact(uids), err
}

// fetch reads mails in batches. Those that are gone by now are left out.
func (s *session) fetch(ctx context.Context, f folder, validity uint32, uids []imap.UID, take func([]events.Inbound, imap.UID) error) error {
	const ahead = 500 // sizes asked for at once
	for chunk := range slices.Chunk(uids, ahead) {
		var found []*found
		err := s.within(commandTime, func() (err error) { found, err = s.sizes(chunk); return err })
		if err != nil {
			return fmt.Errorf("fetch from %s: %w", f.name, err)
		}
		for len(found) > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, bytes := 0, int64(0)
			for n < len(found) && n < batchMails && (n == 0 || bytes+found[n].size <= batchBytes) {
				bytes += found[n].size
				n++
			}
			evs, err := s.batch(f, validity, found[:n])
			if err != nil {
				return fmt.Errorf("fetch from %s: %w", f.name, err)
			}
			if err := take(evs, found[n-1].uid); err != nil {
				return err
			}
			found = found[n:]
		}
	}
	return nil
}

// found is a mail as the folder lists it.
type found struct {
	uid      imap.UID
	size     int64
	received time.Time
	content  []byte
	lost     string
}

func (s *session) sizes(uids []imap.UID) ([]*found, error) {
	listed, err := s.c.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{UID: true, RFC822Size: true, InternalDate: true}).Collect()
	if err != nil {
		return nil, err
	}
	all := make([]*found, 0, len(listed))
	for _, one := range listed {
		if one.UID != 0 {
			all = append(all, &found{uid: one.UID, size: one.RFC822Size, received: one.InternalDate})
		}
	}
	slices.SortFunc(all, func(a, b *found) int { return int(a.uid) - int(b.uid) })
	return all, nil
}

// batch fetches mails and reads them.
func (s *session) batch(f folder, validity uint32, all []*found) ([]events.Inbound, error) {
	err := s.contents(all)
	var no *imap.Error
	if errors.As(err, &no) && len(all) > 1 {
		// One of them is what the server stumbles over: find out which.
		err = nil
		for _, one := range all {
			one.content = nil
			if e := s.contents([]*found{one}); errors.As(e, &no) {
				one.lost = s.m.redact.Words(no.Text)
			} else if e != nil {
				return nil, e
			}
		}
	} else if errors.As(err, &no) {
		all[0].lost, err = s.m.redact.Words(no.Text), nil
	}
	if err != nil {
		return nil, err
	}
	var evs []events.Inbound
	for _, one := range all {
		env := envelope{Folder: f.name, Sent: f.sent, Received: one.received}
		switch {
		case one.lost != "":
			env.Lost, env.UID, env.Validity = one.lost, uint32(one.uid), validity
		case one.content == nil:
			continue // deleted meanwhile
		case len(one.content) == 0 && one.size > 0:
			env.Lost = fmt.Sprintf("nothing came of its %d bytes", one.size)
			env.UID, env.Validity = uint32(one.uid), validity
		case one.size > maxMail:
			env.Size = one.size
		}
		evs = append(evs, s.m.read(env, one.content)...)
		one.content = nil
	}
	return evs, nil
}

// contents fetches the bytes of mails, without marking them as read. Only the
// first can be too large to be fetched whole, as it is alone then.
func (s *session) contents(all []*found) error {
	section := &imap.FetchItemBodySection{Peek: true}
	if all[0].size > maxMail {
		section.Partial = &imap.SectionPartial{Offset: 0, Size: maxBeginning}
	}
	by := make(map[imap.UID]*found, len(all))
	var set imap.UIDSet
	for _, one := range all {
		by[one.uid] = one
		set.AddNum(one.uid)
	}
	return s.within(fetchTime, func() error {
		cmd := s.c.Fetch(set, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}})
		defer func() { _ = cmd.Close() }()
		for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
			uid, content, err := readMail(msg)
			if err != nil {
				return err
			}
			if one := by[uid]; one != nil && content != nil {
				one.content = content
			}
		}
		return cmd.Close()
	})
}

// readMail reads what came of one mail, once, into as many bytes as it has: nil
// when its body is not among it.
func readMail(msg *imapclient.FetchMessageData) (uid imap.UID, content []byte, err error) {
	for item := msg.Next(); item != nil; item = msg.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			uid = item.UID
		case imapclient.FetchItemDataBodySection:
			content = []byte{}
			if item.Literal == nil {
				continue
			}
			size := item.Literal.Size()
			if size > maxMail+maxBeginning {
				return 0, nil, fmt.Errorf("the server sends %d MB of a mail that it said was smaller", size>>20)
			}
			content = make([]byte, size)
			if _, err := io.ReadFull(item.Literal, content); err != nil {
				return 0, nil, err
			}
		default: // what a server adds
		}
	}
	return uid, content, nil
}

// Reconcile implements [transports.Reconciler]: everything that arrived in any
// folder since that day, but nothing from before the import's chosen date.
func (m *Mailbox) Reconcile(ctx context.Context, since time.Time, emit func(context.Context, []events.Inbound) error) error {
	s, err := m.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	err = s.reconcile(ctx, since, emit)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var kept *keepError
	if errors.As(err, &kept) {
		return err
	}
	return m.redact.Error("compare the mailbox", err)
}

func (s *session) reconcile(ctx context.Context, since time.Time, emit func(context.Context, []events.Inbound) error) error {
	folders, err := s.folders()
	if err != nil {
		return err
	}
	since = since.UTC().AddDate(0, 0, -1).Truncate(24 * time.Hour) // as in start
	if since.Before(s.m.since) {
		since = s.m.since
	}
	for _, f := range folders {
		data, err := s.examine(f.name)
		if isNo(err) && f.name != inbox {
			continue
		}
		if err != nil {
			return err
		}
		uids, err := s.uids(&imap.SearchCriteria{Since: since})
		if err != nil {
			return err
		}
		err = s.fetch(ctx, f, data.UIDValidity, uids, func(evs []events.Inbound, _ imap.UID) error {
			if err := emit(ctx, evs); err != nil {
				return &keepError{err}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
