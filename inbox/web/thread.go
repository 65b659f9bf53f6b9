package web

import (
	"net/http"
	"strconv"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

// messagesAtOnce is how many messages a thread shows at first, and with each
// step back.
const messagesAtOnce = 50

// together is how long after its neighbour a message of the same sender is shown
// without their name.
const together = 5 * time.Minute

// thread is a chat with its newest messages, or those before some place.
type thread struct {
	Chat inbox.Chat
	Name string
	Head head
	Rows []messageRow
	// Earlier is the link to what came before, empty at the beginning.
	Earlier string
	// Newest says that the last message is the chat's newest.
	Newest   bool
	Composer composer
	// Scheduled are the replies that wait for their time.
	Scheduled []scheduledRow
}

// messageRow is one message as it is shown.
type messageRow struct {
	inbox.Message
	// Day is set on the first message of each day.
	Day string
	// Grouped says that its neighbour above is by the same sender, just before.
	Grouped bool
	// Divider says that what follows was not read yet.
	Divider bool
	Shown   string
	// Text is what is new, Quoted what a mail repeats.
	Text, Quoted []textPart
	Subject      string
	// HTML says that a mail has more to show than its words.
	HTML  bool
	State inbox.DeliveryState
	Out   bool
	// Album names the files that were sent as one, empty when it is none of them;
	// Joined says that its neighbour above is of the same album.
	Album  string
	Joined bool
	// Edits and Reacts say what the reader can do with it where it went.
	Edits, Reacts bool
	// Again says that it was not sent, so that it may be written once more.
	Again bool
	Notes []noteRow
	Was   []editRow
}

// editRow is what a message said before.
type editRow struct {
	inbox.Edit
	Shown string
}

// chatID is the chat that a path names.
func chatID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("chat"), 10, 64)
	if err != nil || id < 1 {
		return 0, notFound("chat.not_found")
	}
	return id, nil
}

func (p *pages) showChat(w http.ResponseWriter, r *http.Request) {
	c, err := p.begin(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.chatPage(w, r, http.StatusOK, "", c)
}

// chatPage shows a chat with what its reader had typed, and why it was not sent.
func (p *pages) chatPage(w http.ResponseWriter, r *http.Request, status int, flash string, typed composer) {
	place := p.Desk.Place(r.Context())
	id, err := chatID(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	t, err := p.thread(r, id, typed)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	list, err := p.list(r, id)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, status, "inbox", frame{
		Title: t.Name, Here: "inbox", Script: true, Flash: flash, Place: place, Page: inboxPage{List: list, Thread: &t},
	})
}

func (p *pages) thread(r *http.Request, id int64, typed composer) (t thread, err error) {
	tenant := access.From(r.Context()).Tenant
	if t.Chat, err = p.Desk.Chat(r.Context(), tenant, id); err != nil {
		return t, err
	}
	t.Name = clientName(t.Chat.Client)
	if t.Head, err = p.head(r, t.Chat); err != nil {
		return t, err
	}
	if err := p.readThread(r, &t); err != nil {
		return t, err
	}
	if t.Scheduled, err = p.scheduled(r, id); err != nil {
		return t, err
	}
	t.Composer = typed.forChat(&t.Chat)
	t.Composer.Times = t.Head.Times
	if t.Composer.Templates, err = p.templates(r); err != nil {
		return t, err
	}
	if typed.ReplyTo > 0 {
		answered, err := p.Desk.Store.Message(r.Context(), tenant, typed.ReplyTo)
		if err == nil && answered.ChatID != id {
			err = notFound("message.not_found")
		}
		if err != nil {
			return t, err
		}
		t.Composer.Answers = answered.Text
	}
	return t, nil
}

// readThread reads the messages that the request asks for: the newest, those
// before a seq, or those around the seq "at".
func (p *pages) readThread(r *http.Request, t *thread) error {
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	if at, _ := strconv.ParseInt(r.URL.Query().Get("at"), 10, 64); at > 0 && t.Chat.LastSeq-at > messagesAtOnce/2 {
		before = at + messagesAtOnce/2
	}
	id, loc := t.Chat.ID, zone(r)
	ms, more, err := p.Desk.Messages(r.Context(), access.From(r.Context()).Tenant, id, store.MessagePage{Before: before, Limit: messagesAtOnce})
	if err != nil {
		return err
	}
	t.Rows = rows(ms, time.Now(), loc)
	enable(t.Rows, t.Head)
	t.Newest = before == 0
	if t.Newest {
		divide(t.Rows)
	}
	notes, err := p.notes(r.Context(), id, loc)
	if err != nil {
		return err
	}
	place(t.Rows, notes, t.Newest)
	if more && len(ms) > 0 {
		t.Earlier = "/inbox/" + strconv.FormatInt(id, 10) + "?before=" + strconv.FormatInt(ms[0].Seq, 10)
	}
	return nil
}

// enable says what the reader can do with each message.
func enable(list []messageRow, h head) {
	can := make(map[events.ChannelID]*inbox.Abilities)
	for i := range h.Chat.Routes {
		can[h.Chat.Routes[i].Channel] = h.Chat.Routes[i].Can
	}
	for i := range list {
		m := &list[i]
		if c := can[m.Channel]; c != nil && h.May {
			there := !m.Out || m.State == inbox.Sent || m.State == inbox.Delivered || m.State == inbox.Read
			m.Reacts = c.Reactions && there
			m.Edits = c.Edits && m.Out && there
		}
		m.Again = h.May && m.State == inbox.Failed && m.Message.Text != ""
	}
}

// rows prepares messages to be shown one under the other.
func rows(ms []inbox.Message, now time.Time, loc *time.Location) []messageRow {
	out := make([]messageRow, len(ms))
	for i, msg := range ms {
		m := messageRow{Message: msg, Out: msg.Direction == inbox.Out}
		at := m.CreatedAt.In(loc)
		m.Shown = at.Format("15:04")
		if i == 0 || !sameDay(out[i-1].CreatedAt.In(loc), at) {
			m.Day = at.Format("Monday, 2 January 2006")
		} else {
			before := &out[i-1]
			m.Grouped = before.SenderID == m.SenderID && before.Transport == m.Transport && m.CreatedAt.Sub(before.CreatedAt) < together
		}
		text, quoted := m.Message.Text, ""
		if c := m.Content; c != nil {
			if mail := c.Mail; mail != nil {
				m.Subject = mail.Subject
				if mail.Quoted > 0 && mail.Quoted < len(text) {
					text, quoted = text[:mail.Quoted], text[mail.Quoted:]
				}
			}
			if c.Text == "" && shownOtherwise(&msg) {
				text = "" // its plain words are for terminals
			}
			if m.Answers != nil && c.Quote != "" {
				part := *m.Answers
				part.Text, m.Answers = c.Quote, &part
			}
			m.Album = c.Group
			m.Joined = i > 0 && c.Group != "" && out[i-1].Album == c.Group && out[i-1].SenderID == m.SenderID
		}
		m.Text, m.Quoted = textParts(text), textParts(quoted)
		m.HTML = mailBody(m.Attachments) != nil
		if d := m.Delivery; d != nil {
			m.State = d.State
		}
		for _, e := range m.Message.Edits {
			m.Was = append(m.Was, editRow{e, e.At.In(loc).Format("2 Jan 15:04")})
		}
		out[i] = m
	}
	return out
}

// shownOtherwise reports whether a message's content is shown by more than its
// plain words.
func shownOtherwise(m *inbox.Message) bool {
	c := m.Content
	return len(m.Attachments) > 0 || c.Location != nil || c.Contact != nil || c.Poll != nil
}

// divide marks where what was not read yet begins.
func divide(rows []messageRow) {
	for i := range rows {
		if !rows[i].Out && rows[i].ReadAt == nil {
			rows[i].Divider = i > 0
			return
		}
	}
}

// showMessages is a part of a thread for scripts: what came after a seq, or before.
func (p *pages) showMessages(w http.ResponseWriter, r *http.Request) {
	id, err := chatID(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	q := r.URL.Query()
	after, _ := strconv.ParseInt(q.Get("after"), 10, 64)
	before, _ := strconv.ParseInt(q.Get("before"), 10, 64)
	page := store.MessagePage{After: after, Before: before, Limit: messagesAtOnce}
	ms, more, err := p.Desk.Messages(r.Context(), access.From(r.Context()).Tenant, id, page)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if more {
		w.Header().Set("Parley-More", "1")
	}
	list := rows(ms, time.Now(), zone(r))
	if err := p.complete(r, id, list, after == 0); err != nil {
		p.fail(w, r, err)
		return
	}
	p.fragment(w, r, http.StatusOK, "messages", list)
}

// complete adds to the messages of a part what the reader can do with them, and
// the notes between them.
func (p *pages) complete(r *http.Request, chat int64, list []messageRow, notes bool) error {
	who := access.From(r.Context())
	c, err := p.Desk.Chat(r.Context(), who.Tenant, chat)
	if err != nil {
		return err
	}
	enable(list, head{Chat: c, May: who.Role.AtLeast(inbox.Agent)})
	if !notes {
		return nil
	}
	by, err := p.notes(r.Context(), chat, zone(r))
	place(list, by, false)
	return err
}

// showMessage is one message for scripts, after something happened to it.
func (p *pages) showMessage(w http.ResponseWriter, r *http.Request) {
	chat, err := chatID(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	id, err := strconv.ParseInt(r.PathValue("message"), 10, 64)
	if err != nil {
		p.fail(w, r, notFound("message.not_found"))
		return
	}
	m, err := p.Desk.Store.Message(r.Context(), access.From(r.Context()).Tenant, id)
	if err == nil && m.ChatID != chat {
		err = notFound("message.not_found")
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	row := rows([]inbox.Message{m}, time.Now(), zone(r))
	if err := p.complete(r, chat, row, false); err != nil {
		p.fail(w, r, err)
		return
	}
	row[0].Day = "" // its neighbours stay
	row[0].Grouped = r.URL.Query().Get("grouped") != ""
	p.fragment(w, r, http.StatusOK, "messages", row)
}

// markRead marks what the client wrote as read, up to what was on the screen.
func (p *pages) markRead(w http.ResponseWriter, r *http.Request) {
	id, err := chatID(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	who := access.From(r.Context())
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	seen, _ := strconv.ParseInt(r.PostFormValue("seen"), 10, 64)
	if _, err := p.Desk.MarkRead(r.Context(), who.Tenant, id, seen); err != nil {
		p.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
