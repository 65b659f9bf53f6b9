package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

// head is what stands above a thread: whose chat it is and how it stands.
type head struct {
	Chat inbox.Chat
	Name string
	// Me is the reader's id; May says that they may change the chat.
	Me  int64
	May bool
	// Users and Teams are who it can be given to, Labels what it can be sorted by.
	Users  []inbox.Named
	Teams  []inbox.Team
	Labels []chatLabel
	// Times are when it can come back.
	Times []preset
}

// chatLabel is a label, and whether the chat has it.
type chatLabel struct {
	inbox.Label
	On bool
}

// usersAtOnce is how many colleagues a chat can be given to from its page.
const usersAtOnce = 200

// head reads what stands above a chat's thread.
func (p *pages) head(r *http.Request, chat inbox.Chat) (h head, err error) {
	who := access.From(r.Context())
	h = head{Chat: chat, Name: clientName(chat.Client), Me: who.User, May: who.Role.AtLeast(inbox.Agent), Times: presets(time.Now(), zone(r))}
	if !h.May {
		return h, nil
	}
	accounts, err := p.Desk.Store.Accounts(r.Context(), who.Tenant, 0, usersAtOnce)
	if err != nil {
		return h, err
	}
	for _, a := range accounts {
		if a.DisabledAt == nil && !a.Service && a.Role.AtLeast(inbox.Agent) {
			h.Users = append(h.Users, inbox.Named{ID: a.ID, Name: a.Name})
		}
	}
	if h.Teams, err = p.Desk.Store.Teams(r.Context(), who.Tenant); err != nil {
		return h, err
	}
	labels, err := p.Desk.Store.Labels(r.Context(), who.Tenant)
	for _, l := range labels {
		on := false
		for _, has := range chat.Labels {
			on = on || has.ID == l.ID
		}
		h.Labels = append(h.Labels, chatLabel{l, on})
	}
	return h, err
}

// chatOf is the chat that a request's path names.
func (p *pages) chatOf(r *http.Request) (inbox.Chat, error) {
	id, err := chatID(r)
	if err != nil {
		return inbox.Chat{}, err
	}
	return p.Desk.Chat(r.Context(), tenantOf(r), id)
}

// showHead is the head of a thread for scripts, after something happened to the chat.
func (p *pages) showHead(w http.ResponseWriter, r *http.Request) {
	chat, err := p.chatOf(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	h, err := p.head(r, chat)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.fragment(w, r, http.StatusOK, "head-of-thread", h)
}

// chatForm is the handler of a form about a chat. Afterwards a browser is back at
// the chat; a script asks for what it shows.
func (p *pages) chatForm(f func(r *http.Request, chat int64) error) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := chatID(r)
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err == nil {
			err = f(r, id)
		}
		switch {
		case err != nil:
			p.fail(w, r, err)
		case isFragment(r):
			w.WriteHeader(http.StatusNoContent)
		default:
			http.Redirect(w, r, "/inbox/"+decimal(id), http.StatusSeeOther)
		}
	}
}

// setStatus closes, opens or snoozes a chat.
func (p *pages) setStatus(r *http.Request, chat int64) error {
	s := store.SetStatus{Status: inbox.ChatStatus(r.PostFormValue("status"))}
	s.Seen, _ = strconv.ParseInt(r.PostFormValue("seen"), 10, 64)
	if s.Status == inbox.ChatSnoozed {
		var err error
		if s.Until, err = readTime(r, "until"); err != nil {
			return err
		}
	}
	who := access.From(r.Context())
	_, err := p.Desk.Store.SetChatStatus(r.Context(), who.Tenant, who.Actor, chat, s)
	return err
}

// assign gives a chat to "user-7", "team-7", or nobody.
func (p *pages) assign(r *http.Request, chat int64) error {
	who := access.From(r.Context())
	var a store.Assignment
	kind, number, _ := strings.Cut(r.PostFormValue("to"), "-")
	id, _ := strconv.ParseInt(number, 10, 64)
	switch kind {
	case "user":
		a.User = id
	case "team":
		a.Team = id
	}
	_, err := p.Desk.Store.AssignChat(r.Context(), who.Tenant, who.Actor, chat, a)
	return err
}

// label puts a label on a chat, or takes it off.
func (p *pages) label(r *http.Request, chat int64) error {
	who := access.From(r.Context())
	id, _ := strconv.ParseInt(r.PostFormValue("label"), 10, 64)
	_, err := p.Desk.Store.LabelChat(r.Context(), who.Tenant, who.Actor, chat, id, r.PostFormValue("on") != "")
	return err
}
