package web

import (
	"net/http"
	"slices"
	"strings"

	"parley/inbox"
	"parley/store"
)

// pickPage chooses another client: whom a contact belongs to, or who is the same
// person.
type pickPage struct {
	// Chat is whose panel it was asked for from.
	Chat int64
	// Title is the id of a text, What is what follows it, in words.
	Title, What string
	// Path is where to search, Search what was searched for.
	Path, Search string
	// Action takes the client's id as Field.
	Action, Field string
	Rows          []clientListed
	// More says that there are more than are shown.
	More bool
}

// pickedAtOnce is how many clients a picker shows; words narrow them down.
const pickedAtOnce = 20

// pickForContact chooses the client that a contact belongs to.
func (p *pages) pickForContact(w http.ResponseWriter, r *http.Request) {
	p.pick(w, r, func(c inbox.ClientCard, page *pickPage) error {
		i := slices.IndexFunc(c.Contacts, func(has inbox.ClientContact) bool { return has.ID == number(r, "contact") })
		if i < 0 {
			return notFound("page.not_found")
		}
		at := "/inbox/" + decimal(page.Chat) + "/client/contacts/" + decimal(c.Contacts[i].ID)
		page.Title, page.What = "pick.contact", c.Contacts[i].Value
		page.Path, page.Action, page.Field = at+"/move", at, "to"
		return nil
	})
}

// pickForMerge chooses who is the same person as the chat's client.
func (p *pages) pickForMerge(w http.ResponseWriter, r *http.Request) {
	p.pick(w, r, func(c inbox.ClientCard, page *pickPage) error {
		page.Title, page.What = "pick.merge", clientName(c.Client)
		page.Path = "/inbox/" + decimal(page.Chat) + "/client/merge"
		page.Action, page.Field = page.Path, "with"
		return nil
	})
}

// pick shows the clients that were searched for, but the chat's own.
func (p *pages) pick(w http.ResponseWriter, r *http.Request, purpose func(inbox.ClientCard, *pickPage) error) {
	page, err := p.readPick(r, purpose)
	switch {
	case err != nil:
		p.fail(w, r, err)
	case isFragment(r):
		p.fragment(w, r, http.StatusOK, "pick", page)
	default:
		p.show(w, r, http.StatusOK, "pick-page", frame{Title: page.Title, Here: "inbox", Script: true, Page: page})
	}
}

func (p *pages) readPick(r *http.Request, purpose func(inbox.ClientCard, *pickPage) error) (page pickPage, err error) {
	chat, err := p.chatOf(r)
	if err != nil {
		return page, err
	}
	page.Chat = chat.ID
	c, err := p.Desk.Store.Client(r.Context(), tenantOf(r), chat.Client.ID)
	if err != nil {
		return page, err
	}
	if err := purpose(c, &page); err != nil {
		return page, err
	}
	page.Search = strings.TrimSpace(r.URL.Query().Get("search"))
	list, next, err := p.Desk.Store.Clients(r.Context(), tenantOf(r), store.ClientPage{Search: page.Search, Limit: pickedAtOnce})
	if err != nil {
		return page, err
	}
	for _, other := range list {
		if other.ID != c.ID {
			page.Rows = append(page.Rows, clientListed{Client: other, Name: clientName(other)})
		}
	}
	page.More = next != ""
	return page, nil
}
