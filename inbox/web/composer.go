package web

import (
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
)

// composer is the form for a reply, with what was typed into it so far.
type composer struct {
	Routes []route
	// Seen is the newest message that its writer has before them.
	Seen int64
	// Key makes a form that is sent twice one reply.
	Key                    string
	Text, Channel, Subject string
	// Force is offered when something newer was missed.
	Force bool
	// Closed says why nothing can be sent, empty when something can.
	Closed string
	// Mail says that the chosen way has subjects.
	Mail bool
}

// route is one way to answer.
type route struct {
	inbox.Route
	Chosen bool
}

// forChat fills in what the chat says.
func (c composer) forChat(chat *inbox.Chat) composer {
	if c.Seen == 0 {
		c.Seen = chat.LastSeq
	}
	if c.Key == "" {
		c.Key = rand.Text()
	}
	open := -1
	for i, r := range chat.Routes {
		c.Routes = append(c.Routes, route{Route: r})
		if r.State != inbox.RouteOpen {
			c.Closed = r.Reason
			continue
		}
		if string(r.Channel) == c.Channel || open < 0 {
			open = i
		}
	}
	if open >= 0 {
		c.Closed = ""
		c.Routes[open].Chosen = true
		c.Channel = string(c.Routes[open].Channel)
		c.Mail = c.Routes[open].Can != nil && c.Routes[open].Can.Mail
	}
	return c
}

// reply sends what was typed. A script gets the new message; a form the thread
// with it, or with what was typed and why it was not sent.
func (p *pages) reply(w http.ResponseWriter, r *http.Request) {
	id, err := chatID(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	who := access.From(r.Context())
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	seen, _ := strconv.ParseInt(r.PostFormValue("seen"), 10, 64)
	typed := composer{
		Seen: seen, Key: r.PostFormValue("key"), Text: strings.ReplaceAll(r.PostFormValue("text"), "\r\n", "\n"),
		Channel: r.PostFormValue("channel"), Subject: r.PostFormValue("subject"),
	}
	if !who.Role.AtLeast(inbox.Agent) {
		p.fail(w, r, &inbox.Error{Code: inbox.Forbidden, Message: "reply.read_only"})
		return
	}
	m, err := p.Desk.Reply(r.Context(), desk.Reply{
		Tenant: who.Tenant, Chat: id, Channel: typed.Channel, Text: typed.Text, User: who.User, Seen: typed.Seen,
		Force: r.PostFormValue("force") != "", Key: typed.Key, Subject: typed.Subject,
	})
	switch {
	case err == nil && isFragment(r):
		p.fragment(w, r, http.StatusCreated, "messages", rows([]inbox.Message{m}, time.Now(), zone(r)))
	case err == nil:
		http.Redirect(w, r, "/inbox/"+strconv.FormatInt(id, 10)+"#end", http.StatusSeeOther)
	case isFragment(r):
		p.refused(w, r, err)
	default:
		typed.Force = inbox.CodeOf(err) == inbox.Stale
		if typed.Force {
			typed.Seen = 0 // the thread that is shown now has what was missed
		}
		p.chatPage(w, r, statusOf(err), p.words(r, err), typed)
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
