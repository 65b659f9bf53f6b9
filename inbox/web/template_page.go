package web

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
)

func (p *pages) templatePages(mux *http.ServeMux) {
	mux.Handle("GET /templates", p.forAgents(p.listTemplates))
	mux.Handle("GET /templates/new", p.looking(inbox.Agent, p.newTemplate))
	mux.Handle("POST /templates", p.change(inbox.Agent, "template.add", p.addTemplate))
	mux.Handle("GET /templates/{template}", p.forAgents(p.showTemplate))
	mux.Handle("POST /templates/{template}", p.change(inbox.Agent, "template.change", p.changeTemplate))
	mux.Handle("POST /templates/{template}/remove", p.change(inbox.Agent, "template.remove", p.removeTemplate))
}

// templatesListed is how many templates a page lists.
const templatesListed = 100

// templatesPage is the list of templates.
type templatesPage struct {
	Items []inbox.MessageTemplate
	Next  string
	// Add says that who looks may add one.
	Add bool
}

func (p *pages) listTemplates(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	items, err := p.Desk.Store.MessageTemplates(r.Context(), tenantOf(r), max(after, 0), templatesListed+1)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	page := templatesPage{Items: items, Add: may(r, inbox.Agent)}
	if len(items) > templatesListed {
		page.Items = items[:templatesListed]
		page.Next = "/templates?after=" + decimal(items[templatesListed-1].ID)
	}
	p.show(w, r, http.StatusOK, "templates", frame{Title: "templates.title", Here: "templates", Script: true, Page: page})
}

// The limits of a template, as the API has them.
const (
	longestTemplateName = 100
	longestTemplate     = 65536
)

func templateForm(m inbox.MessageTemplate) form {
	return form{
		Action: "/templates", Submit: "form.save",
		Fields: []field{
			{Name: "name", Label: "templates.name", Kind: "text", Value: m.Name, Required: true, Max: longestTemplateName, Auto: "off"},
			{Name: "text", Label: "templates.text", Kind: "textarea", Value: m.Text, Required: true, Max: longestTemplate, Help: "templates.text_help"},
		},
	}
}

// templateBlame says which field an error about a template belongs to.
func templateBlame() []pair {
	return []pair{{"name", "already"}, {"name", "name"}, {"text", "variable"}, {"text", "text"}, {"text", "{{"}}
}

// newTemplate shows an empty form, or a copy of another template.
func (p *pages) newTemplate(w http.ResponseWriter, r *http.Request) {
	var m inbox.MessageTemplate
	if id, err := strconv.ParseInt(r.URL.Query().Get("copy"), 10, 64); err == nil {
		if m, err = p.Desk.Store.MessageTemplate(r.Context(), tenantOf(r), id); err != nil {
			p.fail(w, r, err)
			return
		}
		m.Name = cut(m.Name+" 2", longestTemplateName)
	}
	f := templateForm(m)
	f.Hidden = []pair{{"key", rand.Text()}}
	p.show(w, r, http.StatusOK, "template-new", frame{Title: "templates.new", Here: "templates", Script: true, Page: f})
}

func (p *pages) addTemplate(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	f := templateForm(inbox.MessageTemplate{})
	f.Hidden = []pair{{"key", r.PostFormValue("key")}}
	if !p.lacks(r, &f) {
		m, err := p.Desk.Store.AddMessageTemplate(r.Context(), tenantOf(r), store.NewMessageTemplate{
			Name: r.PostFormValue("name"), Text: lines(r.PostFormValue("text")), Key: r.PostFormValue("key"),
		})
		if err == nil {
			done(w, r, "/templates/"+decimal(m.ID), "template_added")
			return
		}
		p.refuse(r, &f, err, templateBlame()...)
	}
	p.show(w, r, http.StatusUnprocessableEntity, "template-new", frame{Title: "templates.new", Here: "templates", Script: true, Page: f})
}

// templatePage is one template, and what it says in a chat.
type templatePage struct {
	inbox.MessageTemplate
	// Edit is nil for who only looks on.
	Edit *form
	// Chats are those that it can be tried in; Chat is the one it is tried in.
	Chats []pair
	Chat  string
	// Asked are the variables that whoever writes fills in.
	Asked   []field
	Preview *desk.Preview
	// Trouble is why there is none.
	Trouble string
}

func (p *pages) templatePage(r *http.Request, m inbox.MessageTemplate) (templatePage, error) {
	page := templatePage{MessageTemplate: m, Chat: r.URL.Query().Get("chat")}
	if may(r, inbox.Agent) {
		f := templateForm(m)
		f.Action, f.Hidden = "/templates/"+decimal(m.ID), []pair{{"version", decimal(m.Version)}}
		page.Edit = &f
	}
	chats, _, err := p.Desk.Chats(r.Context(), tenantOf(r), store.ChatPage{Limit: chatsAtOnce})
	if err != nil {
		return page, err
	}
	for i := range chats {
		page.Chats = append(page.Chats, pair{decimal(chats[i].ID), clientName(chats[i].Client)})
	}
	values := map[string]string{}
	for _, v := range m.Variables {
		if v.From != "asked" {
			continue
		}
		value := r.URL.Query().Get("var_" + v.Name)
		page.Asked = append(page.Asked, field{Name: "var_" + v.Name, Label: v.Name, Value: value})
		if value != "" {
			values[v.Name] = value
		}
	}
	if chat, err := strconv.ParseInt(page.Chat, 10, 64); err == nil {
		preview, err := p.Desk.Preview(r.Context(), desk.PreviewRequest{
			Tenant: tenantOf(r), Chat: chat, Template: m.ID, Variables: values, User: access.From(r.Context()).User,
		})
		if err == nil {
			page.Preview = &preview
		} else {
			page.Trouble = p.words(r, err)
		}
	}
	return page, nil
}

func (p *pages) showTemplate(w http.ResponseWriter, r *http.Request) {
	p.reshowTemplate(w, r, http.StatusOK, func(*form) {})
}

// reshowTemplate shows a template's page, with what is wrong on its form.
func (p *pages) reshowTemplate(w http.ResponseWriter, r *http.Request, status int, wrong func(*form)) {
	m, err := p.Desk.Store.MessageTemplate(r.Context(), tenantOf(r), number(r, "template"))
	var page templatePage
	if err == nil {
		page, err = p.templatePage(r, m)
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if page.Edit != nil {
		wrong(page.Edit)
	}
	p.show(w, r, status, "template", frame{Title: "templates.one", Here: "templates", Script: true, Page: page})
}

func (p *pages) changeTemplate(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	id := number(r, "template")
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil || version < 1 {
		p.fail(w, r, &inbox.Error{Code: inbox.Unversioned, Message: "form.broken", Err: err})
		return
	}
	name, text := r.PostFormValue("name"), lines(r.PostFormValue("text"))
	if _, err = p.Desk.Store.ChangeMessageTemplate(r.Context(), tenantOf(r), id, version, store.MessageTemplateChange{Name: &name, Text: &text}); err != nil {
		p.reshowTemplate(w, r, statusOf(err), func(f *form) { p.refuse(r, f, err, templateBlame()...) })
		return
	}
	done(w, r, "/templates/"+decimal(id), "saved")
}

func (p *pages) removeTemplate(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	version, _ := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err := p.Desk.Store.RemoveMessageTemplate(r.Context(), tenantOf(r), number(r, "template"), version); err != nil {
		p.fail(w, r, err)
		return
	}
	done(w, r, "/templates", "template_removed")
}

// lines are a form's text as it was written: browsers send CR LF for the end of
// each line (https://html.spec.whatwg.org/#constructing-the-form-data-set).
func lines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// cut is a text's first n characters.
func cut(s string, n int) string {
	if c := []rune(s); len(c) > n {
		return string(c[:n])
	}
	return s
}
