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
}

// reply sends what was typed. A script gets the new message; a form the thread
// with it, or with what was typed and why it was not sent.
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
		m, err = p.Desk.Reply(r.Context(), desk.Reply{
			Tenant: who.Tenant, Chat: id, Channel: form.Channel, Text: form.Text, Attachments: form.attachments, User: who.User,
			Seen: form.Seen, Force: form.Force, Key: form.Key, Subject: form.Subject, ReplyTo: form.ReplyTo,
		})
	}
	switch {
	case err == nil && isFragment(r):
		p.fragment(w, r, http.StatusCreated, "messages", rows([]inbox.Message{m}, time.Now(), zone(r)))
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
	}
}

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
