package dispatcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/transports"
)

// decide says for each head whether it goes out, and what its next part is. It
// runs within the turn's transaction and does no I/O.
func (r *runner) decide(heads []store.Head, now time.Time) ([]store.Claim, []job) {
	claims := make([]store.Claim, len(heads))
	jobs := make([]job, len(heads))
	for i := range heads {
		h := &heads[i]
		if later := r.rates.person(now, h.Lane); later > 0 {
			claims[i].Later = later
			continue
		}
		if code, words := r.forbidden(h); code != "" {
			claims[i] = store.Claim{Refused: true, Code: code, Words: words}
			continue
		}
		if isAction(h) {
			claims[i], jobs[i] = r.claimAction(h)
			jobs[i].key = store.AttemptKey{Delivery: h.ID, Part: h.PartsSent, Attempt: h.Attempt}
			jobs[i].lane, jobs[i].queuedFor, jobs[i].claimedAt = h.Lane, h.Age, now
			continue
		}
		m, err := r.d.split(h, r.adapter.caps)
		if err != nil {
			claims[i] = store.Claim{Refused: true, Code: "unreadable", Words: err.Error()}
			continue
		}
		claims[i] = store.Claim{Parts: len(m.parts), Split: m.store}
		jobs[i] = job{
			key:     store.AttemptKey{Delivery: h.ID, Part: h.PartsSent, Attempt: h.Attempt},
			message: h.Message, lane: h.Lane, part: m.parts[h.PartsSent], parts: len(m.parts),
			harmless:  r.adapter.caps.HarmlessResend,
			queuedFor: h.Age, claimedAt: now,
		}
		jobs[i].template, jobs[i].topic = m.template, m.topic
		if r.adapter.caps.Mail {
			jobs[i].mail = mailHead(m.mail, h.PartsSent)
		}
		// Only the first part quotes: the rest follows it anyway.
		if r.adapter.caps.Replies && h.PartsSent == 0 {
			jobs[i].replyTo = h.ReplyTo
		}
	}
	return claims, jobs
}

// forbidden says why a message must not be sent now, in words for the person
// who wrote it, or nothing.
func (r *runner) forbidden(h *store.Head) (code, words string) {
	caps := r.adapter.caps
	switch {
	case r.poison[h.ID]:
		return "unreadable", "The message cannot be sent as it is stored."
	case h.Gone:
		return "gone", "The person it was written to is no longer there."
	case h.Blocked:
		return "blocked", "The client was blocked before it was sent. Unblock the client and write again."
	case h.Unreachable != "":
		return "unreachable", fmt.Sprintf("The client cannot be reached here: %s. Answer on another channel, or wait until they write.",
			strings.TrimSuffix(h.Unreachable, "."))
	case h.Template != nil && !caps.Templates:
		return "no_templates", "This channel takes no templates. Write a text instead."
	case h.Template != nil, isAction(h), caps.ReplyWindow == transports.NoReplyWindow:
		return "", ""
	case h.LastInboundAt == nil:
		return "window_closed", "The client has never written here, so only an approved template may be sent."
	case h.SinceInbound >= caps.ReplyWindow:
		return "window_closed", fmt.Sprintf(
			"The client last wrote more than %s ago, so only an approved template may be sent. Wait until they write, or use a template.",
			inWords(caps.ReplyWindow))
	}
	return "", ""
}

// inWords is a duration of whole hours, as reply windows are.
func inWords(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return d.String()
}

// message is a head's message in parts.
type message struct {
	parts []transports.Part
	// store is the split to remember, nil when it is remembered or there is only
	// one part.
	store []byte
	// template is sent instead of the text, nil for none.
	template *transports.Template
	// mail is the head of a mail, nil for none; topic the thread it goes to.
	mail  *events.Mail
	topic string
}

// mailHead is the head of one part of a mail. Each part is a mail of its own,
// with an id that is the same for each attempt.
func mailHead(m *events.Mail, part int) *transports.MailHead {
	if m == nil {
		return nil
	}
	head := &transports.MailHead{
		Subject: m.Subject, To: m.To, Cc: m.Cc, MessageID: m.MessageID, References: m.References, ReplyToken: m.ChatToken, Automatic: m.Automatic,
	}
	if len(m.InReplyTo) > 0 {
		head.InReplyTo = m.InReplyTo[0]
	}
	if local, domain, ok := strings.Cut(m.MessageID, "@"); ok && part > 0 {
		head.MessageID = fmt.Sprintf("%s.%d@%s", local, part, domain)
	}
	return head
}

// storedPart is one part as parley_deliveries.split keeps it: its text, and
// which of the message's files it carries, if any.
type storedPart struct {
	Text     string          `json:"text,omitempty"`
	Entities []events.Entity `json:"entities,omitempty"`
	File     *int            `json:"file,omitempty"`
	// Kind is what the file is sent as.
	Kind events.ContentType `json:"kind,omitempty"`
	// Album are the further files that go with it.
	Album []storedFile `json:"album,omitempty"`
}

// storedFile is one of the message's files and what it is sent as.
type storedFile struct {
	File int                `json:"file"`
	Kind events.ContentType `json:"kind,omitempty"`
}

// split divides a message into parts, or reads how it was divided before. Its
// errors are words for the person who wrote it.
func (d *Dispatcher) split(h *store.Head, caps transports.Capabilities) (message, error) {
	content := events.Content{Type: events.Text, Text: h.Text}
	if h.Content != nil {
		content = events.Content{}
		if err := json.Unmarshal(h.Content, &content); err != nil {
			return message{}, errors.New("The message's content cannot be read, so it was not sent. Write it again.") //nolint:staticcheck // words for people
		}
		if content.Text == "" && len(h.Files) == 0 {
			content.Text = h.Text
		}
	}
	if h.Template != nil {
		return templated(h, &content)
	}
	files := d.files(h, &content, caps)
	if h.Split != nil {
		m, err := splitAgain(h, files)
		m.mail, m.topic = content.Mail, content.Topic
		return m, err
	}
	parts := transports.Split(content.Text, content.Entities, files, caps)
	if len(parts) == 0 {
		return message{}, errors.New("There is nothing in the message to send.") //nolint:staticcheck // words for people
	}
	if h.PartsSent >= len(parts) {
		return message{}, errors.New("The message was sent in part, and how it was divided is not known.") //nolint:staticcheck // words for people
	}
	m := message{parts: parts, mail: content.Mail, topic: content.Topic}
	if len(parts) > 1 {
		stored := make([]storedPart, len(parts))
		file := 0
		for i, p := range parts {
			stored[i] = storedPart{Text: p.Text, Entities: p.Entities}
			if p.Attachment != nil {
				stored[i].File, stored[i].Kind = new(file), p.Attachment.Kind
				file++
			}
			for _, further := range p.Album {
				stored[i].Album = append(stored[i].Album, storedFile{File: file, Kind: further.Kind})
				file++
			}
		}
		var err error
		if m.store, err = json.Marshal(stored); err != nil {
			return message{}, err
		}
	}
	return m, nil
}

// templated is a message that the provider writes from a template. Its text is
// what people see of it here.
func templated(h *store.Head, content *events.Content) (message, error) {
	var t inbox.Template
	if err := json.Unmarshal(h.Template, &t); err != nil {
		return message{}, errors.New("The message's template cannot be read, so it was not sent. Write it again.") //nolint:staticcheck // words for people
	}
	return message{
		parts:    []transports.Part{{Text: content.Text}},
		template: &transports.Template{ID: t.ID, Variables: t.Variables}, topic: content.Topic,
	}, nil
}

// splitAgain reads a stored split.
func splitAgain(h *store.Head, files []transports.File) (message, error) {
	var stored []storedPart
	err := json.Unmarshal(h.Split, &stored)
	if err != nil || h.PartsSent >= len(stored) {
		return message{}, errors.New("The message was sent in part, and how it was divided cannot be read.") //nolint:staticcheck // words for people
	}
	m := message{parts: make([]transports.Part, len(stored))}
	for i, s := range stored {
		m.parts[i].Text, m.parts[i].Entities = s.Text, s.Entities
		if s.File == nil {
			continue
		}
		for n, one := range append([]storedFile{{File: *s.File, Kind: s.Kind}}, s.Album...) {
			if one.File < 0 || one.File >= len(files) {
				return message{}, errors.New("A file of the message is no longer there.") //nolint:staticcheck // words for people
			}
			file := files[one.File]
			file.Kind = one.Kind
			if n == 0 {
				m.parts[i].Attachment = &file
			} else {
				m.parts[i].Album = append(m.parts[i].Album, file)
			}
		}
	}
	return m, nil
}

// files are a head's attachments as the adapter takes them.
func (d *Dispatcher) files(h *store.Head, content *events.Content, caps transports.Capabilities) []transports.File {
	if len(h.Files) == 0 {
		return nil
	}
	open := d.opts.OpenFile
	if open == nil {
		open = func(context.Context, string) (io.ReadCloser, error) {
			return nil, errors.New("this process has no access to files")
		}
	}
	files := make([]transports.File, len(h.Files))
	for i, f := range h.Files {
		kind := kindOf(f.MIME)
		if i < len(content.Attachments) && content.Attachments[i].Kind != "" {
			kind = content.Attachments[i].Kind
		}
		files[i] = transports.File{
			Kind: kind, Name: f.Name, MIME: f.MIME, Size: f.Size,
			Open: func(ctx context.Context) (io.ReadCloser, error) { return open(ctx, f.BlobKey) },
		}
		if caps.FetchesMedia && d.opts.FileURL != nil {
			files[i].URL = d.opts.FileURL(f)
		}
	}
	return files
}

// kindOf is what a file of that media type is sent as.
func kindOf(mime string) events.ContentType {
	switch major, _, _ := strings.Cut(mime, "/"); major {
	case "image":
		return events.Photo
	case "video":
		return events.Video
	case "audio":
		return events.Audio
	}
	return events.Document
}
