package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
)

// templatesAtOnce is how many templates the form for replies offers.
const templatesAtOnce = 200

// usedTemplate is the template that a text began with; ID 0 is none.
type usedTemplate struct {
	ID int64
	// Asked are the variables that nobody but the writer knows.
	Asked []askedVariable
}

type askedVariable struct{ Name, Value string }

// useTemplate is the text of a template for a chat's client, and what it lacks.
func (p *pages) useTemplate(r *http.Request, chat, id int64) (u usedTemplate, text string, err error) {
	who := access.From(r.Context())
	preview, err := p.Desk.Preview(r.Context(), desk.PreviewRequest{Tenant: who.Tenant, Chat: chat, Template: id, User: who.User})
	u.ID = id
	for _, name := range preview.Missing {
		u.Asked = append(u.Asked, askedVariable{Name: name})
	}
	return u, preview.Text, err
}

// showTemplates is a template filled in, for scripts: the one that "use" names.
func (p *pages) showTemplates(w http.ResponseWriter, r *http.Request) {
	chat, err := chatID(r)
	id, _ := strconv.ParseInt(r.URL.Query().Get("use"), 10, 64)
	var c composer
	if err == nil {
		c.Used, c.Text, err = p.useTemplate(r, chat, id)
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.fragment(w, r, http.StatusOK, "used-template", c)
}

// templates are those that have a name.
func (p *pages) templates(r *http.Request) ([]inbox.MessageTemplate, error) {
	list, err := p.Desk.Store.MessageTemplates(r.Context(), access.From(r.Context()).Tenant, 0, templatesAtOnce)
	list = slices.DeleteFunc(list, func(m inbox.MessageTemplate) bool { return m.Name == "" })
	slices.SortFunc(list, func(a, b inbox.MessageTemplate) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return list, err
}

// fillIn writes what the writer gave for a template's variables into the reply.
// Where only approved templates are taken, the template itself is sent.
func (p *pages) fillIn(r *http.Request, form *replyForm, out *desk.Reply) error {
	if form.Used.ID == 0 {
		return nil
	}
	chat, err := p.Desk.Chat(r.Context(), out.Tenant, out.Chat)
	if err != nil {
		return err
	}
	values := make(map[string]string, len(form.Used.Asked))
	for _, v := range form.Used.Asked {
		values[v.Name] = v.Value
	}
	for _, way := range chat.Routes {
		if string(way.Channel) == out.Channel && way.State == inbox.RouteWindowClosed {
			out.Text, out.TemplateID, out.Variables = "", form.Used.ID, values
			return nil
		}
	}
	for _, v := range form.Used.Asked {
		sign := "{{" + v.Name + "}}"
		if strings.Contains(out.Text, sign) && strings.TrimSpace(v.Value) == "" {
			return &inbox.Error{Code: inbox.Invalid, Message: "template.missing", Hint: v.Name + "."}
		}
		out.Text = strings.ReplaceAll(out.Text, sign, v.Value)
	}
	return nil
}
