package email

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"parley/events"
)

// Reasons of ignored events, in plain words.
const (
	reasonOwn  = "sent by Parley itself"
	reasonNone = "a report of what became of a mail, which says nothing new"
)

// OwnHeader marks what this adapter sent, with the Message-ID it was given:
// some servers replace that on the way.
const OwnHeader = "X-Parley-Message-ID"

// Reparse implements [transports.Reparser].
func (m *Mailbox) Reparse(raw json.RawMessage) ([]events.Inbound, error) {
	env, content, err := unkeep(raw)
	if err != nil {
		return nil, err
	}
	return m.parse(env, content, raw), nil
}

// read turns a fetched mail into events.
func (m *Mailbox) read(env envelope, content []byte) []events.Inbound {
	return m.parse(env, content, keep(env, content))
}

// parse turns a mail into events, at least one. It never fails: what cannot be
// read is shown as such.
func (m *Mailbox) parse(env envelope, content []byte, raw json.RawMessage) (evs []events.Inbound) {
	h, body, notes := readHeader(content)
	l := &letter{box: m, env: env, h: h, body: body, raw: raw, size: len(content)}
	for _, n := range notes {
		l.note(n)
	}
	// One mail that nobody thought of must not hold up those behind it.
	defer func() {
		if v := recover(); v != nil {
			l.unreadable(fmt.Sprintf("reading it failed unexpectedly (%T)", v), content)
			evs = []events.Inbound{l.event()}
		}
	}()
	if env.Lost != "" {
		l.unreadable("the mail server does not hand it out: "+env.Lost, nil)
		return []events.Inbound{l.event()}
	}
	t, err := takeApart(h, body)
	if err != nil {
		l.unreadable(err.Error(), content)
		return []events.Inbound{l.event()}
	}
	if report := readReport(t); report != nil {
		if evs := l.statuses(report); evs != nil {
			return evs
		}
	}
	l.readHead()
	l.readBody(t)
	switch {
	case env.Size > 0:
		l.unreadable(fmt.Sprintf("it has %d MB, more than is fetched; this is its beginning", env.Size>>20), content)
	case len(h) == 0:
		l.unreadable("it has no header", content)
	}
	return []events.Inbound{l.event()}
}

// letter is a mail on its way to become an event.
type letter struct {
	box  *Mailbox
	env  envelope
	h    header
	body []byte
	raw  json.RawMessage
	size int

	mail        events.Mail
	text        string
	attachments []events.Attachment
	notes       []string
}

func (l *letter) note(words string) {
	for _, n := range l.notes {
		if n == words {
			return
		}
	}
	if len(l.notes) < 20 {
		l.notes = append(l.notes, words)
	}
}

// unreadable makes the mail one that says only so, beside what is known of it.
func (l *letter) unreadable(why string, content []byte) {
	if l.mail.MessageID == "" {
		l.readHead()
	}
	l.mail.Unreadable = why
	if content != nil {
		l.attachments = append(l.attachments, events.Attachment{
			Kind: events.Document, Ref: rawRef, Name: "mail.eml", MIME: "message/rfc822",
			Size: int64(len(content)), Role: events.RawMail, InRaw: true,
		})
	}
}

// readHead reads the header.
func (l *letter) readHead() {
	h := l.h
	l.mail = events.Mail{
		Subject:    truncate(h.text("Subject"), maxSubject),
		ReplyTo:    h.addresses("Reply-To"),
		To:         h.addresses("To"),
		Cc:         h.addresses("Cc"),
		InReplyTo:  h.ids("In-Reply-To"),
		References: h.ids("References"),
		Automatic:  automatic(h),
		DMARC:      dmarc(h, l.box.authserv),
		BodyHash:   l.bodyHash(),
	}
	if from := h.addresses("From"); len(from) > 0 {
		l.mail.From = from[0]
		if len(from) > 1 && l.mail.DMARC != "" {
			l.mail.DMARC = dmarcNone // it vouches for one author (RFC 7489, section 6.6.1)
		}
	} else {
		l.mail.From.Name = truncate(h.text("From"), 200)
	}
	if id := h.ids("Message-ID"); len(id) > 0 {
		l.mail.MessageID = id[0]
	} else {
		if h.has("Message-ID") {
			l.note("the Message-ID is none; one was made of the content")
		}
		l.mail.MessageID = l.mail.BodyHash[:32] + "@message-id.invalid"
	}
	// A token needs no charset: none is guessed.
	g := new(guesses)
	for _, to := range h.all("To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To") {
		for _, a := range g.addresses(to) {
			if token, ok := l.box.answers.verify(a.Address); ok {
				l.mail.ChatToken = token
			}
		}
	}
	if l.env.Folder != "" && !l.env.Sent && !strings.EqualFold(l.env.Folder, inbox) {
		l.note("found in the folder " + clean(l.env.Folder))
	}
}

// bodyHash is the same for the same mail in two mailboxes, whatever trace their
// servers wrote above it.
func (l *letter) bodyHash() string {
	sum := sha256.New()
	if l.env.Lost != "" {
		fmt.Fprintf(sum, "%s\n%d\n%d\n", l.env.Folder, l.env.Validity, l.env.UID)
	}
	for _, name := range []string{"From", "Date"} {
		fmt.Fprintf(sum, "%s\n", oneLine(l.h.get(name)))
	}
	for line := range bytes.Lines(bytes.TrimRight(l.body, "\r\n \t")) {
		sum.Write(bytes.TrimRight(line, "\r\n"))
		sum.Write([]byte{'\n'})
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// readBody finds text and files.
func (l *letter) readBody(t *tree) {
	for _, n := range t.notes {
		l.note(n)
	}
	b := body{letter: l, tree: t}
	b.read()
	if len(l.text) > maxShown {
		l.text = truncate(l.text, maxShown)
		l.note("the text is too long to be shown whole; the mail has all of it")
	}
	l.mail.Quoted = quoted(l.mail.Subject, l.text)
}

// event is the mail as a message.
func (l *letter) event() events.Inbound {
	m := &l.mail
	ev := events.Inbound{
		Kind:         events.Message,
		Key:          events.MessageKey{Chat: Chat, Message: m.MessageID + "#" + m.BodyHash[:16]},
		ProviderTime: l.time(),
		Content:      &events.Content{Type: events.Letter, Text: l.text, Attachments: l.attachments, Mail: m},
		Raw:          l.raw,
	}
	// Both lists name the mail answered; the last reference is what lists and some
	// programs set alone.
	if answered := append(m.References[:len(m.References):len(m.References)], m.InReplyTo...); len(answered) > 0 {
		ev.Content.ReplyTo = &events.MessageKey{Chat: Chat, Message: answered[len(answered)-1]}
	}
	own := cleanID(l.h.get(OwnHeader))
	switch {
	case l.env.Sent:
		ev.Ours, ev.Person = true, l.recipient()
		ev.Key.Message = m.MessageID
	default:
		ev.Person = l.author()
	}
	if own != "" && (l.env.Sent || ev.Person.Address == l.box.address) {
		return events.Inbound{
			Kind: events.Ignored, Reason: reasonOwn, Person: ev.Person, Key: events.MessageKey{Chat: Chat, Message: own},
			ProviderEvent: l.env.Folder + " " + m.MessageID, ProviderTime: ev.ProviderTime, Raw: l.raw,
		}
	}
	ev.Notes = l.notes
	return ev
}

// author is who wrote the mail. What a web form sends in the mailbox's own name
// is from the visitor it names in Reply-To, whom nobody vouches for then.
func (l *letter) author() events.Person {
	from := l.mail.From
	if identity(from).Value == l.box.address && len(l.mail.ReplyTo) > 0 {
		if visitor := identity(l.mail.ReplyTo[0]); visitor.Valid() && visitor.Value != l.box.address {
			l.mail.DMARC = dmarcNone
			l.note("sent in the mailbox's own name; the author is who is to be answered")
			return person(l.mail.ReplyTo[0], visitor)
		}
	}
	if id := identity(from); id.Valid() {
		return person(from, id)
	}
	l.note("the From names nobody")
	for _, name := range []string{"Sender", "Reply-To", "Return-Path"} {
		for _, a := range l.h.addresses(name) {
			if id := identity(a); id.Valid() {
				l.mail.DMARC = dmarcNone
				if a.Name == "" {
					a.Name = from.Name
				}
				return person(a, id)
			}
		}
	}
	return l.unknown("sender", l.h.get("From"))
}

// recipient is whom a mail of ours was written to.
func (l *letter) recipient() events.Person {
	for _, name := range []string{"To", "Cc", "Bcc"} {
		for _, a := range l.h.addresses(name) {
			if id := identity(a); id.Valid() && id.Value != l.box.address {
				return person(a, id)
			}
		}
	}
	return l.unknown("recipient", l.h.get("To"))
}

// unknown is a person made of words that name nobody: the same name is the
// same person, in a domain that no mail reaches (RFC 2606, section 2).
func (l *letter) unknown(what, words string) events.Person {
	g := guessing(maxGuesses)
	name, _, _ := strings.Cut(g.utf8Of(words), "<")
	name = g.displayName(name)
	sum := sha256.Sum256([]byte(name))
	address := "unknown-" + hex.EncodeToString(sum[:6]) + "@" + what + ".invalid"
	if name == "" {
		name = "Unknown " + what
	}
	return person(events.MailAddress{Name: name}, events.Identity{Kind: events.EmailAddress, Value: address})
}

func person(a events.MailAddress, id events.Identity) events.Person {
	p := events.Person{Identity: id, Address: id.Value}
	name := a.Name
	if strings.Contains(name, "@") {
		name = "" // an address is no name
	}
	if last, first, ok := strings.Cut(name, ","); ok && strings.Count(name, ",") == 1 {
		name = strings.TrimSpace(first) + " " + strings.TrimSpace(last)
	}
	p.FirstName = strings.TrimSpace(name)
	if i := strings.LastIndexByte(p.FirstName, ' '); i > 0 {
		p.FirstName, p.LastName = p.FirstName[:i], p.FirstName[i+1:]
	}
	return p
}

// time is when the mail arrived, else when it says it was written.
func (l *letter) time() time.Time {
	if t := l.env.Received; !t.IsZero() {
		return t.UTC()
	}
	t, err := mail.ParseDate(l.h.get("Date"))
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}
