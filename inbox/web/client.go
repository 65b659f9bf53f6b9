package web

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
)

func (p *pages) clientPages(mux *http.ServeMux) {
	mux.Handle("GET /clients", p.forAgents(p.showClients))
	mux.Handle("GET /clients/new", p.looking(inbox.Agent, p.newClient))
	mux.Handle("POST /clients", p.change(inbox.Agent, "", p.addClient))
	mux.Handle("GET /clients/{client}", p.forAgents(p.showClient))
	mux.Handle("POST /clients/{client}", p.change(inbox.Agent, "", p.changeClient))
	mux.Handle("POST /clients/{client}/contacts", p.change(inbox.Agent, "", p.addContact))
	mux.Handle("POST /clients/{client}/contacts/{contact}/remove", p.change(inbox.Agent, "", p.removeContact))
	mux.Handle("GET /clients/{client}/delete", p.looking(inbox.Admin, p.askDeleteClient))
	mux.Handle("POST /clients/{client}/delete", p.change(inbox.Admin, "", p.deleteClient))
}

// clientsPage is the list of clients.
type clientsPage struct {
	Search string
	Rows   []clientListed
	Next   string
	// Add says that who looks may add one.
	Add bool
}

type clientListed struct {
	inbox.Client
	Name string
}

func (p *pages) showClients(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	page := clientsPage{Search: strings.TrimSpace(q.Get("search")), Add: may(r, inbox.Agent)}
	list, next, err := p.Desk.Store.Clients(r.Context(), tenantOf(r), store.ClientPage{Search: page.Search, Cursor: q.Get("cursor")})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	for _, c := range list {
		page.Rows = append(page.Rows, clientListed{Client: c, Name: clientName(c)})
	}
	if next != "" {
		page.Next = "/clients?" + url.Values{"search": {page.Search}, "cursor": {next}}.Encode()
	}
	p.show(w, r, http.StatusOK, "clients", frame{Title: "clients.title", Here: "clients", Script: true, Page: page})
}

// clientForm is for what is known of a client.
func clientForm(c inbox.ClientCard) form {
	return form{
		Action: "/clients", Submit: "form.save",
		Fields: []field{
			{Name: "first_name", Label: "clients.first_name", Kind: "text", Value: c.FirstName, Required: true, Max: 255, Auto: "off"},
			{Name: "last_name", Label: "clients.last_name", Kind: "text", Value: c.LastName, Max: 255, Auto: "off"},
			{Name: "middle_name", Label: "clients.middle_name", Kind: "text", Value: c.MiddleName, Max: 255, Auto: "off"},
			{Name: "phone", Label: "clients.phone", Kind: "tel", Value: c.Phone, Max: 50, Help: "clients.phone_help", Auto: "off"},
			{Name: "email", Label: "clients.email", Kind: "email", Value: c.Email, Max: 255, Auto: "off"},
			{Name: "address", Label: "clients.address", Kind: "textarea", Value: c.Address, Max: 10000},
			{Name: "date_of_birth", Label: "clients.born", Kind: "date", Value: c.DateOfBirth},
			{Name: "gender", Label: "clients.gender", Kind: "text", Value: c.Gender, Max: 20, Auto: "off"},
			{Name: "pin", Label: "clients.pin", Kind: "text", Value: c.PIN, Max: 20, Auto: "off"},
			{Name: "comments", Label: "clients.comments", Kind: "textarea", Value: c.Comments, Max: 10000},
		},
	}
}

// clientBlame says which field an error about a client belongs to.
func clientBlame() []pair {
	return []pair{
		{"first_name", "first name"},
		{"last_name", "last name"},
		{"middle_name", "middle name"},
		{"phone", "phone"},
		{"phone", "number +"},
		{"email", "mail address"},
		{"email", "@"},
		{"date_of_birth", "date of birth"},
		{"gender", "gender"},
		{"pin", "tax number"},
		{"comments", "comments"},
		{"address", "the address"},
	}
}

// clientTyped is what somebody typed of a client.
func clientTyped(r *http.Request) store.ClientChange {
	v := func(name string) *string { s := r.PostFormValue(name); return &s }
	return store.ClientChange{
		FirstName: v("first_name"), LastName: v("last_name"), MiddleName: v("middle_name"), Phone: v("phone"), Email: v("email"),
		Address: v("address"), DateOfBirth: v("date_of_birth"), Gender: v("gender"), PIN: v("pin"), Comments: v("comments"),
	}
}

func (p *pages) newClient(w http.ResponseWriter, r *http.Request) {
	f := clientForm(inbox.ClientCard{})
	f.Hidden = []pair{{"key", rand.Text()}}
	p.showForm(w, r, http.StatusOK, "clients", formPage{Title: "clients.new", Back: pair{"/clients", "clients.title"}, Form: f})
}

// formPage is a page with one form and nothing else.
type formPage struct {
	// Title and Intro are ids of texts; Lead is in words.
	Title, Intro, Lead string
	// Back is where one came from: a path and the id of its text.
	Back pair
	Form form
}

func (p *pages) showForm(w http.ResponseWriter, r *http.Request, status int, here string, page formPage) {
	p.show(w, r, status, "form-page", frame{Title: page.Title, Here: here, Script: true, Page: page})
}

func (p *pages) addClient(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	f := clientForm(inbox.ClientCard{})
	f.Hidden = []pair{{"key", r.PostFormValue("key")}}
	if !p.lacks(r, &f) {
		c, err := p.Desk.AddClient(r.Context(), tenantOf(r), access.From(r.Context()).Actor, desk.NewClient{ClientChange: clientTyped(r), Key: r.PostFormValue("key")})
		if err == nil {
			done(w, r, "/clients/"+decimal(c.ID), "client_added")
			return
		}
		p.refuse(r, &f, err, clientBlame()...)
	}
	p.showForm(w, r, http.StatusUnprocessableEntity, "clients", formPage{Title: "clients.new", Back: pair{"/clients", "clients.title"}, Form: f})
}

// clientPage is one client.
type clientPage struct {
	inbox.ClientCard
	Name string
	// Edit and Contact are nil for who only looks on; Fields are then shown.
	Edit, Contact *form
	Fields        []field
	// Delete says that who looks may delete them.
	Delete bool
}

func (p *pages) clientPage(r *http.Request, c inbox.ClientCard) clientPage {
	f := clientForm(c)
	f.Action = "/clients/" + decimal(c.ID)
	f.Hidden = []pair{{"version", decimal(c.Version)}}
	page := clientPage{ClientCard: c, Name: clientName(c.Client), Delete: may(r, inbox.Admin)}
	if !may(r, inbox.Agent) {
		page.Fields = f.Fields
		return page
	}
	page.Edit = &f
	t := p.looks.choose(r).text
	types := []pair{
		{string(inbox.ContactPhone), t("contact.phone")},
		{string(inbox.ContactEmail), t("contact.email")},
		{string(inbox.ContactTelegram), t("contact.telegram")},
		{string(inbox.ContactWhatsApp), t("contact.whatsapp")},
		{string(inbox.ContactOther), t("contact.other")},
	}
	page.Contact = &form{
		Action: "/clients/" + decimal(c.ID) + "/contacts", Submit: "contact.add",
		Fields: []field{
			{Name: "type", Label: "contact.type", Kind: "select", Options: types, Value: string(inbox.ContactPhone)},
			{Name: "value", Label: "contact.value", Kind: "text", Required: true, Max: 255, Auto: "off"},
		},
	}
	return page
}

func (p *pages) showClient(w http.ResponseWriter, r *http.Request) {
	c, err := p.Desk.Store.Client(r.Context(), tenantOf(r), number(r, "client"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.showClientPage(w, r, http.StatusOK, p.clientPage(r, c))
}

func (p *pages) showClientPage(w http.ResponseWriter, r *http.Request, status int, page clientPage) {
	p.show(w, r, status, "client", frame{Title: "clients.one", Here: "clients", Script: true, Page: page})
}

// reshowClient shows a client's page again, with what is wrong on it.
func (p *pages) reshowClient(w http.ResponseWriter, r *http.Request, wrong func(*clientPage)) {
	c, err := p.Desk.Store.Client(r.Context(), tenantOf(r), number(r, "client"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	page := p.clientPage(r, c)
	wrong(&page)
	p.showClientPage(w, r, http.StatusUnprocessableEntity, page)
}

func (p *pages) changeClient(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	id := number(r, "client")
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil || version < 1 {
		p.fail(w, r, &inbox.Error{Code: inbox.Unversioned, Message: "form.broken", Err: err})
		return
	}
	if _, err = p.Desk.ChangeClient(r.Context(), tenantOf(r), access.From(r.Context()).Actor, id, version, "", clientTyped(r)); err != nil {
		// Saving once more is of what is there now, which the error has said.
		p.reshowClient(w, r, func(page *clientPage) { p.refuse(r, page.Edit, err, clientBlame()...) })
		return
	}
	done(w, r, "/clients/"+decimal(id), "saved")
}

func (p *pages) addContact(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	id := number(r, "client")
	c, err := desk.TidyContact(store.NewContact{Type: inbox.ContactType(r.PostFormValue("type")), Value: r.PostFormValue("value")}, "")
	if err == nil {
		_, err = p.Desk.Store.AddContact(r.Context(), tenantOf(r), access.From(r.Context()).Actor, id, c, "")
	}
	if err != nil {
		p.reshowClient(w, r, func(page *clientPage) {
			page.Contact.typed(r.PostForm)
			page.Contact.blame("value", p.words(r, err))
		})
		return
	}
	done(w, r, "/clients/"+decimal(id), "contact_added")
}

func (p *pages) removeContact(w http.ResponseWriter, r *http.Request) {
	id := number(r, "client")
	if _, err := p.Desk.Store.RemoveContact(r.Context(), tenantOf(r), access.From(r.Context()).Actor, id, number(r, "contact")); err != nil {
		p.fail(w, r, err)
		return
	}
	done(w, r, "/clients/"+decimal(id), "contact_removed")
}

// askDeleteClient asks once more: it cannot be taken back.
func (p *pages) askDeleteClient(w http.ResponseWriter, r *http.Request) {
	c, err := p.Desk.Store.Client(r.Context(), tenantOf(r), number(r, "client"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	at := "/clients/" + decimal(c.ID)
	p.showForm(w, r, http.StatusOK, "clients", formPage{
		Title: "clients.delete", Lead: clientName(c.Client), Intro: "clients.delete_help", Back: pair{at, "clients.one"},
		Form: form{Action: at + "/delete", Submit: "clients.delete", Danger: true},
	})
}

func (p *pages) deleteClient(w http.ResponseWriter, r *http.Request) {
	if err := p.Desk.Store.DeleteClient(r.Context(), tenantOf(r), access.From(r.Context()).Actor, number(r, "client")); err != nil {
		p.fail(w, r, err)
		return
	}
	done(w, r, "/clients", "client_deleted")
}
