package web

import (
	"net/http"
	"strconv"
	"time"

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
	Rows []messageRow
	// Earlier is the link to what came before, empty at the beginning.
	Earlier string
	// Newest says that the last message is the chat's newest.
	Newest   bool
	Composer composer
	// Missed is what a refused reply did not see.
	Missed []messageRow
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
	Album bool
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
	to, _ := strconv.ParseInt(r.URL.Query().Get("reply_to"), 10, 64)
	p.chatPage(w, r, http.StatusOK, "", composer{ReplyTo: to})
}

// chatPage shows a chat with what its reader had typed, and why it was not sent.
func (p *pages) chatPage(w http.ResponseWriter, r *http.Request, status int, flash string, typed composer) {
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
		Title: t.Name, Here: "inbox", Script: true, Flash: flash, Page: inboxPage{List: list, Thread: &t},
	})
}

func (p *pages) thread(r *http.Request, id int64, typed composer) (t thread, err error) {
	tenant := access.From(r.Context()).Tenant
	if t.Chat, err = p.Desk.Chat(r.Context(), tenant, id); err != nil {
		return t, err
	}
	t.Name = clientName(t.Chat.Client)
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	ms, more, err := p.Desk.Messages(r.Context(), tenant, id, store.MessagePage{Before: before, Limit: messagesAtOnce})
	if err != nil {
		return t, err
	}
	t.Rows = rows(ms, time.Now(), zone(r))
	t.Newest = before == 0
	if t.Newest {
		divide(t.Rows)
	}
	if more && len(ms) > 0 {
		t.Earlier = "/inbox/" + strconv.FormatInt(id, 10) + "?before=" + strconv.FormatInt(ms[0].Seq, 10)
	}
	t.Composer = typed.forChat(&t.Chat)
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
			m.Album = c.Group != ""
		}
		m.Text, m.Quoted = textParts(text), textParts(quoted)
		m.HTML = mailBody(m.Attachments) != nil
		if d := m.Delivery; d != nil {
			m.State = d.State
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
	p.fragment(w, r, http.StatusOK, "messages", rows(ms, time.Now(), zone(r)))
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
