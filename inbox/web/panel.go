package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
)

// panel is what is known of a chat's client, beside the thread.
type panel struct {
	inbox.ClientCard
	Name string
	// Chat is where the panel's forms lead back to.
	Chat int64
	// Agent and Admin say what the reader may do.
	Agent, Admin bool
	Known        []field
	Edit         form
	Types        []inbox.ContactType
	Suggestions  []suggestion
	Merges       []mergeRow
	Routed       []routing
	// Trouble says why something was refused, in words.
	Trouble string
}

// suggestion is somebody who may be the same person.
type suggestion struct {
	inbox.Suggestion
	Name string
}

// mergeRow is a client who became a part of this one.
type mergeRow struct {
	inbox.Merge
	Name, Shown string
}

// routing is why messages came to this chat, from one of them on.
type routing struct {
	Seq        int64
	Why, Shown string
	Transport  string
}

// routingReach is how many messages the panel looks back.
const routingReach = 200

// contactTypes are the kinds of contacts that somebody can note.
func contactTypes() []inbox.ContactType {
	return []inbox.ContactType{inbox.ContactPhone, inbox.ContactEmail, inbox.ContactTelegram, inbox.ContactWhatsApp, inbox.ContactOther}
}

// panel reads it for a chat.
func (p *pages) panel(r *http.Request, chat inbox.Chat) (out panel, err error) {
	tenant := tenantOf(r)
	c, err := p.Desk.Store.Client(r.Context(), tenant, chat.Client.ID)
	if err != nil {
		return out, err
	}
	out = panel{
		ClientCard: c, Name: clientName(c.Client), Chat: chat.ID, Agent: may(r, inbox.Agent), Admin: may(r, inbox.Admin),
		Known: clientForm(c).Fields, Edit: clientForm(c), Types: contactTypes(),
	}
	out.Edit.Action = "/inbox/" + decimal(chat.ID) + "/client/profile"
	out.Edit.Hidden = []pair{{"version", decimal(c.Version)}}
	found, err := p.Desk.Store.Suggestions(r.Context(), tenant, c.ID)
	if err != nil {
		return out, err
	}
	for _, s := range found {
		out.Suggestions = append(out.Suggestions, suggestion{s, clientName(s.Client)})
	}
	merges, err := p.Desk.Store.Merges(r.Context(), tenant, c.ID)
	if err != nil {
		return out, err
	}
	loc := zone(r)
	for _, m := range merges {
		from, err := p.Desk.Store.Client(r.Context(), tenant, m.From)
		if err != nil {
			return out, err
		}
		out.Merges = append(out.Merges, mergeRow{m, clientName(from.Client), m.At.In(loc).Format("2 Jan 2006 15:04")})
	}
	ms, _, err := p.Desk.Messages(r.Context(), tenant, chat.ID, store.MessagePage{Limit: routingReach})
	if err != nil {
		return out, err
	}
	text := p.looks.choose(r).text
	for i := range ms {
		m := &ms[i]
		if m.RoutedBy == "" {
			continue
		}
		why := text("routed." + m.RoutedBy)
		if why == "routed."+m.RoutedBy {
			why = text("routed.other", "why", m.RoutedBy)
		}
		one := routing{m.Seq, why, m.CreatedAt.In(loc).Format("2 Jan 15:04"), string(m.Transport)}
		if n := len(out.Routed); n == 0 || out.Routed[n-1].Why != one.Why || out.Routed[n-1].Transport != one.Transport {
			out.Routed = append(out.Routed, one)
		}
	}
	slices.Reverse(out.Routed)
	return out, nil
}

// showPanel is a chat with its client beside it; on a phone it is a page. Scripts
// have what is in the panel.
func (p *pages) showPanel(w http.ResponseWriter, r *http.Request) {
	if isFragment(r) {
		chat, err := p.chatOf(r)
		var side panel
		if err == nil {
			side, err = p.panel(r, chat)
		}
		if err != nil {
			p.fail(w, r, err)
			return
		}
		p.fragment(w, r, http.StatusOK, "panel-body", side)
		return
	}
	p.panelPage(w, r, http.StatusOK, nil)
}

func (p *pages) panelPage(w http.ResponseWriter, r *http.Request, status int, wrong func(*panel)) {
	place := p.Desk.Place(r.Context())
	id, err := chatID(r)
	var page inboxPage
	if err == nil {
		var t thread
		t, err = p.thread(r, id, composer{})
		page.Thread = &t
	}
	if err == nil {
		page.List, err = p.list(r, id)
	}
	if err == nil {
		var side panel
		side, err = p.panel(r, page.Thread.Chat)
		page.Panel = &side
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if wrong != nil {
		wrong(page.Panel)
	}
	p.show(w, r, status, "inbox", frame{Title: page.Thread.Name, Here: "inbox", Script: true, Place: place, Page: page})
}

// panelForm is the handler of a form of the panel, which stays where it is when
// something is refused.
func (p *pages) panelForm(f func(r *http.Request, client int64) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := chatID(r)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		if !p.readForm(w, r) {
			return
		}
		chat, err := p.Desk.Chat(r.Context(), tenantOf(r), id)
		if err == nil {
			err = f(r, chat.Client.ID)
		}
		if err == nil {
			if isFragment(r) {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			http.Redirect(w, r, "/inbox/"+decimal(id)+"/client", http.StatusSeeOther)
			return
		}
		status := statusOf(err)
		if isFragment(r) || status == http.StatusInternalServerError || status == http.StatusNotFound {
			p.fail(w, r, err)
			return
		}
		p.panelPage(w, r, status, func(side *panel) {
			if r.PostForm.Has("first_name") {
				p.refuse(r, &side.Edit, err, clientBlame()...)
				return
			}
			side.Trouble = p.words(r, err)
		})
	}
}

func (p *pages) panelProfile(r *http.Request, client int64) error {
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil || version < 1 {
		return &inbox.Error{Code: inbox.Unversioned, Message: "form.broken", Err: err}
	}
	_, err = p.Desk.ChangeClient(r.Context(), tenantOf(r), access.From(r.Context()).Actor, client, version, "", clientTyped(r))
	return err
}

func (p *pages) panelContact(r *http.Request, client int64) error {
	c, err := desk.TidyContact(store.NewContact{Type: inbox.ContactType(r.PostFormValue("type")), Value: r.PostFormValue("value")}, "")
	if err == nil {
		_, err = p.Desk.Store.AddContact(r.Context(), tenantOf(r), access.From(r.Context()).Actor, client, c, "")
	}
	return err
}

// panelContactOf removes a contact, or moves it to another client.
func (p *pages) panelContactOf(r *http.Request, client int64) error {
	by, contact := access.From(r.Context()).Actor, number(r, "contact")
	if r.PostFormValue("remove") != "" {
		_, err := p.Desk.Store.RemoveContact(r.Context(), tenantOf(r), by, client, contact)
		return err
	}
	to, err := strconv.ParseInt(strings.TrimSpace(r.PostFormValue("to")), 10, 64)
	if err != nil {
		return &inbox.Error{Code: inbox.Invalid, Message: "panel.pick_one", Err: err}
	}
	c, err := p.Desk.Store.Client(r.Context(), tenantOf(r), client)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(c.Contacts, func(has inbox.ClientContact) bool { return has.ID == contact }) {
		return notFound("page.not_found")
	}
	return p.Desk.Store.MoveContact(r.Context(), tenantOf(r), by, contact, to)
}

// panelMerge makes another client a part of this one, or takes that back.
func (p *pages) panelMerge(r *http.Request, client int64) (err error) {
	by := access.From(r.Context()).Actor
	if from, err := strconv.ParseInt(r.PostFormValue("undo"), 10, 64); err == nil {
		_, err = p.Desk.Store.UnmergeClients(r.Context(), tenantOf(r), by, from)
		return err
	}
	from, err := strconv.ParseInt(r.PostFormValue("with"), 10, 64)
	if err != nil {
		return &inbox.Error{Code: inbox.Invalid, Message: "panel.pick_one", Err: err}
	}
	_, err = p.Desk.Store.MergeClients(r.Context(), tenantOf(r), by, client, from)
	return err
}

func (p *pages) panelBlock(r *http.Request, client int64) error {
	return p.Desk.Store.BlockClient(r.Context(), tenantOf(r), access.From(r.Context()).Actor, client, r.PostFormValue("block") != "")
}

// erase removes the chat's client for good, once their name was typed.
func (p *pages) erase(w http.ResponseWriter, r *http.Request) {
	id, err := chatID(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if !p.readForm(w, r) {
		return
	}
	who := access.From(r.Context())
	chat, err := p.Desk.Chat(r.Context(), who.Tenant, id)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if strings.TrimSpace(r.PostFormValue("name")) != strings.TrimSpace(clientName(chat.Client)) {
		words := p.looks.choose(r).text("panel.erase_name")
		p.panelPage(w, r, http.StatusUnprocessableEntity, func(side *panel) { side.Trouble = words })
		return
	}
	if _, err := p.Desk.Erase(r.Context(), who.Tenant, who.Actor, chat.Client.ID); err != nil {
		p.fail(w, r, err)
		return
	}
	done(w, r, "/inbox", "client_erased")
}
