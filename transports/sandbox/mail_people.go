package sandbox

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"slices"
	"strings"
	"time"

	gomail "github.com/emersion/go-message/mail"
)

// peopleDomain is where people have their addresses who are known by a name.
const peopleDomain = "people.example"

// MailPhoneMessage is a mail as a person's mail program shows it.
type MailPhoneMessage struct {
	Time         time.Time `json:"time"`
	FromBusiness bool      `json:"from_business"`
	Subject      string    `json:"subject"`
	Text         string    `json:"text"`
	// Files are the names of attachments.
	Files     []string `json:"files,omitempty"`
	MessageID string   `json:"message_id"`
	// InReplyTo is the Message-ID that it answers, empty when it begins a thread.
	InReplyTo string `json:"in_reply_to,omitempty"`
}

// letterWritten is what a person wrote.
type letterWritten struct {
	from string // normalised
	MailPhoneMessage
}

// remember keeps what a person wrote, for their own eyes.
func (m *Mail) remember(l Letter, id string, at time.Time) {
	from := strings.ToLower(bare(l.From))
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.people[from]; !known {
		name, _, _ := strings.Cut(from, "@")
		if a, err := mail.ParseAddress(l.From); err == nil && a.Name != "" {
			name = a.Name
		}
		m.people[from] = name
	}
	m.written = append(m.written, letterWritten{from, MailPhoneMessage{
		Time: at, Subject: l.Subject, Text: l.Text, MessageID: id, InReplyTo: l.InReplyTo,
	}})
}

// MailPerson is somebody who writes to the business.
type MailPerson struct {
	m       *Mail
	name    string
	address string
}

// Person is the one with a name ("anna" has anna@people.example), or with an
// address.
func (m *Mail) Person(who string) (MailPerson, error) {
	who = strings.TrimSpace(who)
	p := MailPerson{m: m, name: who, address: strings.ToLower(who)}
	if !strings.Contains(who, "@") {
		p.address = strings.Join(strings.Fields(p.address), ".") + "@" + peopleDomain
	}
	a, err := mail.ParseAddress(p.address)
	if who == "" || err != nil {
		return MailPerson{}, fmt.Errorf("sandbox: %q is neither a name nor a mail address", who)
	}
	if p.address = a.Address; strings.Contains(who, "@") {
		p.name = ""
	}
	return p, nil
}

// Address is the person's own.
func (p MailPerson) Address() string { return p.address }

// Write writes to the business. Without a subject it answers the last mail that
// the person got, or begins a thread without one.
func (p MailPerson) Write(subject, text string) (id string, err error) {
	l := Letter{From: (&mail.Address{Name: p.name, Address: p.address}).String(), Subject: subject, Text: text}
	if subject == "" {
		if sent := p.got(); len(sent) > 0 {
			to := sent[len(sent)-1]
			if err := l.answer(to.Raw); err != nil {
				return "", err
			}
		}
	}
	return p.m.Write(l)
}

// answer makes the letter an answer to a mail.
func (l *Letter) answer(raw []byte) error {
	got, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return errors.Join(errors.New("sandbox mail: there is nothing to answer"), err)
	}
	if l.To = got.Header.Get("Reply-To"); l.To == "" {
		l.To = got.Header.Get("From")
	}
	l.Subject = answerSubject(decodeHeader(got.Header.Get("Subject")))
	l.InReplyTo = strings.Trim(got.Header.Get("Message-ID"), "<> ")
	return nil
}

// got are the mails that reached the person, oldest first.
func (p MailPerson) got() []SentMail {
	return slices.DeleteFunc(p.m.Sent(), func(s SentMail) bool {
		return !slices.ContainsFunc(s.To, func(to string) bool { return strings.EqualFold(to, p.address) })
	})
}

// Phone is what the person wrote and got, oldest first.
func (p MailPerson) Phone() []MailPhoneMessage {
	shown := []MailPhoneMessage{}
	for _, s := range p.got() {
		one := readMail(s.Raw)
		one.Time, one.FromBusiness = s.At, true
		shown = append(shown, one)
	}
	p.m.mu.Lock()
	for _, l := range p.m.written {
		if l.from == strings.ToLower(p.address) {
			shown = append(shown, l.MailPhoneMessage)
		}
	}
	p.m.mu.Unlock()
	slices.SortStableFunc(shown, func(a, b MailPhoneMessage) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.MessageID, b.MessageID))
	})
	return shown
}

// readMail is what a mail program shows of a mail. What it cannot read it leaves
// out.
func readMail(raw []byte) (shown MailPhoneMessage) {
	r, err := gomail.CreateReader(bytes.NewReader(raw))
	if err != nil {
		return MailPhoneMessage{Text: "(this mail cannot be read)"}
	}
	defer func() { _ = r.Close() }()
	shown.Subject, _ = r.Header.Subject()
	shown.MessageID, _ = r.Header.MessageID()
	if answered, err := r.Header.MsgIDList("In-Reply-To"); err == nil && len(answered) > 0 {
		shown.InReplyTo = answered[0]
	}
	for {
		part, err := r.NextPart()
		if err != nil {
			return shown
		}
		switch h := part.Header.(type) {
		case *gomail.InlineHeader:
			if kind, _, _ := h.ContentType(); kind == "text/plain" && shown.Text == "" {
				text, _ := io.ReadAll(part.Body)
				shown.Text = strings.TrimRight(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
			}
		case *gomail.AttachmentHeader:
			name, _ := h.Filename()
			shown.Files = append(shown.Files, name)
		}
	}
}

// decodeHeader undoes RFC 2047's encoding, as far as it can be.
func decodeHeader(s string) string {
	if decoded, err := new(mime.WordDecoder).DecodeHeader(s); err == nil {
		return decoded
	}
	return s
}

// answerSubject is the subject of an answer.
func answerSubject(s string) string {
	if len(s) >= 3 && strings.EqualFold(s[:3], "Re:") {
		return s
	}
	return strings.TrimSpace("Re: " + s)
}
