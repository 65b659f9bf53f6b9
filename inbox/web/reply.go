package web

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
)

// replyForm is what a form for a reply says.
type replyForm struct {
	composer
	attachments []int64
	// at is when it is to be sent: empty for now, RFC 3339, or "other" for atOther.
	at, atOther    string
	unlessAnswered bool
}

// reply sends what was typed, keeps it for later, or keeps it as a note. A script
// gets the new message; a form the thread with it, or with what was typed and why
// it was not sent.
func (p *pages) reply(w http.ResponseWriter, r *http.Request) {
	id, err := chatID(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	takeTime(w)
	who := access.From(r.Context())
	form, err := p.readReply(r, who.Tenant)
	var m inbox.Message
	if err == nil {
		m, err = p.take(r, id, &form)
	}
	if err == nil {
		// What was sent is no draft any more. One that stays is in nobody's way.
		_ = p.Desk.Store.PutDraft(r.Context(), who.Tenant, who.User, inbox.Draft{ChatID: id})
	}
	switch {
	case err == nil && isFragment(r) && m.ID == 0:
		w.WriteHeader(http.StatusNoContent)
	case err == nil && isFragment(r):
		p.sent(w, r, id, m)
	case err == nil:
		http.Redirect(w, r, "/inbox/"+strconv.FormatInt(id, 10)+"#end", http.StatusSeeOther)
	case isFragment(r):
		p.refused(w, r, err)
	default:
		form.Stale = inbox.CodeOf(err) == inbox.Stale
		if form.Stale {
			form.Seen = 0 // the thread that is shown now has what was missed
		}
		p.chatPage(w, r, statusOf(err), p.words(r, err), form.composer)
	}
}

// take does what the form says; no message is made of what is no reply yet.
func (p *pages) take(r *http.Request, chat int64, form *replyForm) (m inbox.Message, err error) {
	who := access.From(r.Context())
	if form.Note {
		// The store notes it as what it is.
		_, err = p.Desk.Store.AddNote(store.WithNote(r.Context(), nil), who.Tenant, who.Actor, chat, who.User, form.Text, form.Key)
		return m, err
	}
	reply := desk.Reply{
		Tenant: who.Tenant, Chat: chat, Channel: form.Channel, Text: form.Text, Attachments: form.attachments, User: who.User,
		Seen: form.Seen, Force: form.Force, Key: form.Key, Subject: form.Subject, ReplyTo: form.ReplyTo,
		To: recipients(form.To), Cc: recipients(form.Cc),
	}
	if err := p.fillIn(r, form, &reply); err != nil {
		return m, err
	}
	at, err := form.later(zone(r))
	switch {
	case err != nil:
		return m, err
	case !at.IsZero():
		entry := store.NewAuditEntry{Action: "scheduled.add", TargetKind: "chat", TargetID: strconv.FormatInt(chat, 10)}
		_, err = p.Desk.Schedule(store.WithNote(r.Context(), &store.Note{By: who.Actor, Entry: entry}), reply, at, form.unlessAnswered)
		return m, err
	}
	return p.Desk.Reply(r.Context(), reply)
}

// recipients are the addresses of a field, nil when it is empty.
func recipients(field string) (list []string) {
	for _, one := range strings.FieldsFunc(field, func(r rune) bool { return r == ';' || r == ',' || r == '\n' }) {
		if one = strings.TrimSpace(one); one != "" {
			list = append(list, one)
		}
	}
	return list
}

// sent shows a script the message that it sent.
func (p *pages) sent(w http.ResponseWriter, r *http.Request, chat int64, m inbox.Message) {
	list := rows([]inbox.Message{m}, time.Now(), zone(r))
	if err := p.complete(r, chat, list, false); err != nil {
		p.fail(w, r, err)
		return
	}
	if d := m.Delivery; d != nil && d.State == inbox.Queued && d.DueAt.After(time.Now()) {
		w.Header().Set("Parley-Undo", d.DueAt.Format(time.RFC3339Nano))
	}
	p.fragment(w, r, http.StatusCreated, "messages", list)
}

// readReply reads a form field by field, so that its files go where they are kept
// as they come.
func (p *pages) readReply(r *http.Request, tenant events.TenantID) (form replyForm, err error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return form, &inbox.Error{Code: inbox.Invalid, Message: "reply.broken", Err: err}
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return form, nil
		}
		if err != nil {
			return form, &inbox.Error{Code: inbox.Invalid, Message: "reply.broken", Err: err}
		}
		if part.FileName() != "" {
			if err := p.keepFile(r, tenant, part, &form); err != nil {
				return form, err
			}
			continue
		}
		value, err := io.ReadAll(io.LimitReader(part, maxForm))
		if err != nil {
			return form, &inbox.Error{Code: inbox.Invalid, Message: "reply.broken", Err: err}
		}
		form.set(part.FormName(), string(value))
	}
}

func (p *pages) keepFile(r *http.Request, tenant events.TenantID, part *multipart.Part, form *replyForm) error {
	if len(form.attachments) >= store.MaxAttachments {
		return &inbox.Error{Code: inbox.Invalid, Message: "reply.too_many_files"}
	}
	up, err := p.Desk.Upload(r.Context(), tenant, "", part.FileName(), part.Header.Get("Content-Type"), part)
	form.attachments = append(form.attachments, up.ID)
	return err
}

func (f *replyForm) set(name, value string) {
	number := func() int64 {
		n, _ := strconv.ParseInt(value, 10, 64)
		return n
	}
	switch name {
	case "text":
		f.Text = strings.ReplaceAll(value, "\r\n", "\n")
	case "channel":
		f.Channel = value
	case "subject":
		f.Subject = value
	case "to":
		f.To = value
	case "cc":
		f.Cc = value
	case "mode":
		f.Note = value == "note"
	case "at":
		f.at = value
	case "at_other":
		f.atOther = value
	case "unless_answered":
		f.unlessAnswered = value != ""
	case "template":
		f.Used.ID = number()
	case "key":
		f.Key = value
	case "seen":
		f.Seen = number()
	case "force":
		f.Force = value != ""
	case "reply_to":
		f.ReplyTo = number()
	case "upload":
		if n := number(); n > 0 && len(f.attachments) < store.MaxAttachments {
			f.attachments = append(f.attachments, n)
		}
	default:
		if variable, ok := strings.CutPrefix(name, "var."); ok && len(f.Used.Asked) < maxVariables {
			f.Used.Asked = append(f.Used.Asked, askedVariable{variable, value})
		}
	}
}

// maxVariables bounds what a form may say of a template.
const maxVariables = 100

// refusal is why a reply was not sent, and what its writer had not seen.
type refusal struct {
	Words  string
	Missed []messageRow
	Stale  bool
}

func (p *pages) refused(w http.ResponseWriter, r *http.Request, err error) {
	out := refusal{Words: p.words(r, err)}
	var e *inbox.Error
	if errors.As(err, &e) && e.Code == inbox.Stale {
		out.Stale = true
		if missed, ok := e.Detail.(*store.Missed); ok {
			out.Missed = rows(missed.Messages, time.Now(), zone(r))
		}
	}
	p.fragment(w, r, statusOf(err), "refusal", out)
}
