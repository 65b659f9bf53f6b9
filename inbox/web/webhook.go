package web

import (
	"context"
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"time"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
)

func (p *pages) webhookPages(mux *http.ServeMux) {
	mux.Handle("GET /webhooks", p.looking(inbox.Admin, p.showWebhooks))
	mux.Handle("POST /webhooks", p.change(inbox.Admin, "", p.addWebhook))
	mux.Handle("GET /webhooks/{webhook}", p.looking(inbox.Admin, p.showWebhook))
	mux.Handle("POST /webhooks/{webhook}", p.change(inbox.Admin, "", p.changeWebhook))
	for verb, do := range p.webhookVerbs() {
		mux.Handle("POST /webhooks/{webhook}/"+verb, p.change(inbox.Admin, "", p.doToWebhook(verb, do)))
	}
	mux.Handle("POST /webhooks/{webhook}/rotate", p.change(inbox.Admin, "", p.rotateWebhook))
	mux.Handle("POST /webhooks/{webhook}/delete", p.change(inbox.Admin, "", p.deleteWebhook))
}

// webhooksPage is where other systems are told what happens.
type webhooksPage struct {
	Items []store.Webhook
	Add   form
}

// webhooksAtOnce is how many a tenant is shown.
const webhooksAtOnce = 200

func webhookForm(w store.Webhook) form {
	return form{
		Action: "/webhooks", Submit: "form.save",
		Fields: []field{
			{Name: "url", Label: "webhooks.url", Help: "webhooks.url_help", Kind: "url", Value: w.URL, Required: true, Max: 2000, Auto: "off"},
			{Name: "types", Label: "webhooks.types", Help: "webhooks.types_help", Kind: "text", Value: strings.Join(w.Types, " "), Auto: "off"},
			{Name: "description", Label: "webhooks.description", Kind: "text", Value: w.Description, Max: 500, Auto: "off"},
		},
	}
}

func webhookBlame() []pair {
	return []pair{{"types", "type"}, {"url", "url"}, {"url", "address"}, {"url", "http"}}
}

// factTypes are the types in a field, with spaces or commas between.
func factTypes(r *http.Request) []string {
	return strings.FieldsFunc(r.PostFormValue("types"), func(c rune) bool { return c == ' ' || c == ',' || c == '\n' || c == '\r' })
}

func (p *pages) reshowWebhooks(w http.ResponseWriter, r *http.Request, status int, also func(*webhooksPage)) {
	items, err := p.Desk.Store.Webhooks(r.Context(), tenantOf(r), "", webhooksAtOnce)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	page := webhooksPage{Items: items, Add: webhookForm(store.Webhook{})}
	page.Add.Submit, page.Add.Hidden = "webhooks.add", []pair{{"key", rand.Text()}}
	also(&page)
	p.show(w, r, status, "webhooks", frame{Title: "webhooks.title", Here: "webhooks", Script: true, Page: page})
}

func (p *pages) showWebhooks(w http.ResponseWriter, r *http.Request) {
	p.reshowWebhooks(w, r, http.StatusOK, func(*webhooksPage) {})
}

func (p *pages) addWebhook(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	made, secret, err := p.Desk.AddWebhook(r.Context(), tenantOf(r), access.From(r.Context()).Actor, desk.NewWebhook{
		URL: r.PostFormValue("url"), Types: factTypes(r), Description: cut(r.PostFormValue("description"), 500), Key: r.PostFormValue("key"),
	})
	if err != nil {
		p.reshowWebhooks(w, r, statusOf(err), func(page *webhooksPage) { p.refuse(r, &page.Add, err, webhookBlame()...) })
		return
	}
	p.reshowWebhook(w, r, http.StatusOK, made.ID, func(page *webhookPage) { page.Secret, page.Made = secret, true })
}

// webhookPage is one webhook and what it was told.
type webhookPage struct {
	store.Webhook
	Edit form
	Log  []store.WebhookDelivery
	// State is of which deliveries, empty for all; Next the link to older ones.
	State, Next string
	// Secret is a secret that was just made, and Made that one was.
	Secret string
	Made   bool
	// Key makes a rotation that is sent twice rotate once.
	Key string
}

// webhookLog is how many deliveries a page shows.
const webhookLog = 50

func (p *pages) webhookPage(ctx context.Context, r *http.Request, id string) (webhookPage, error) {
	q := r.URL.Query()
	before, _ := strconv.ParseInt(q.Get("before"), 10, 64)
	page := webhookPage{Key: rand.Text()}
	switch s := q.Get("state"); s {
	case "queued", "sent", "failed":
		page.State = s
	}
	log, err := p.Desk.Store.WebhookDeliveries(ctx, tenantOf(r), id, page.State, max(before, 0), webhookLog+1)
	if err != nil {
		return page, err
	}
	if len(log) > webhookLog {
		log = log[:webhookLog]
		page.Next = "/webhooks/" + id + "?state=" + page.State + "&before=" + decimal(log[webhookLog-1].ID)
	}
	page.Log = log
	all, err := p.Desk.Store.Webhooks(ctx, tenantOf(r), "", webhooksAtOnce)
	if err != nil {
		return page, err
	}
	for _, w := range all {
		if w.ID == id {
			page.Webhook, page.Edit = w, webhookForm(w)
			page.Edit.Action, page.Edit.Hidden = "/webhooks/"+id, []pair{{"version", decimal(w.Version)}}
			return page, nil
		}
	}
	return page, notFound("page.not_found")
}

func (p *pages) reshowWebhook(w http.ResponseWriter, r *http.Request, status int, id string, also func(*webhookPage)) {
	page, err := p.webhookPage(r.Context(), r, id)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	also(&page)
	p.show(w, r, status, "webhook", frame{Title: "webhooks.one", Here: "webhooks", Script: true, Page: page})
}

func (p *pages) showWebhook(w http.ResponseWriter, r *http.Request) {
	p.reshowWebhook(w, r, http.StatusOK, r.PathValue("webhook"), func(*webhookPage) {})
}

func (p *pages) changeWebhook(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	id, address, about, types := r.PathValue("webhook"), r.PostFormValue("url"), cut(r.PostFormValue("description"), 500), factTypes(r)
	if types == nil {
		types = []string{}
	}
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil || version < 1 {
		p.fail(w, r, &inbox.Error{Code: inbox.Unversioned, Message: "form.broken", Err: err})
		return
	}
	if _, err = p.Desk.ChangeWebhook(r.Context(), tenantOf(r), access.From(r.Context()).Actor, id, store.WebhookChange{
		URL: &address, Description: &about, Types: &types, IfVersion: version,
	}); err != nil {
		p.reshowWebhook(w, r, statusOf(err), id, func(page *webhookPage) { p.refuse(r, &page.Edit, err, webhookBlame()...) })
		return
	}
	done(w, r, "/webhooks/"+id, "saved")
}

// webhookVerb is what can be done to a webhook with one click.
type webhookVerb func(r *http.Request, by inbox.Actor, id string) error

func (p *pages) webhookVerbs() map[string]webhookVerb {
	enable := func(on bool) webhookVerb {
		return func(r *http.Request, by inbox.Actor, id string) error {
			_, err := p.Desk.ChangeWebhook(r.Context(), tenantOf(r), by, id, store.WebhookChange{Enabled: &on})
			return err
		}
	}
	return map[string]webhookVerb{
		"enable": enable(true), "disable": enable(false),
		"test": func(r *http.Request, by inbox.Actor, id string) error {
			return p.Desk.TestWebhook(r.Context(), tenantOf(r), by, id)
		},
		// One delivery, or all that failed in the two weeks that the log goes back.
		"replay": func(r *http.Request, by inbox.Actor, id string) error {
			delivery, err := strconv.ParseInt(r.PostFormValue("delivery"), 10, 64)
			var since time.Time
			if err != nil {
				since = time.Now().AddDate(0, 0, -14)
			}
			_, err = p.Desk.Store.ReplayWebhook(r.Context(), tenantOf(r), by, id, delivery, since)
			return err
		},
	}
}

func (p *pages) doToWebhook(verb string, do webhookVerb) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if !p.readForm(w, r) {
			return
		}
		id := r.PathValue("webhook")
		if err := do(r, access.From(r.Context()).Actor, id); err != nil {
			p.fail(w, r, err)
			return
		}
		done(w, r, "/webhooks/"+id, "webhook_"+verb)
	}
}

func (p *pages) rotateWebhook(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("webhook")
	_, secret, err := p.Desk.RotateWebhook(r.Context(), tenantOf(r), access.From(r.Context()).Actor, id, cut(r.PostFormValue("key"), 255))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.reshowWebhook(w, r, http.StatusOK, id, func(page *webhookPage) { page.Secret, page.Made = secret, true })
}

func (p *pages) deleteWebhook(w http.ResponseWriter, r *http.Request) {
	if err := p.Desk.Store.DeleteWebhook(r.Context(), tenantOf(r), access.From(r.Context()).Actor, r.PathValue("webhook")); err != nil {
		p.fail(w, r, err)
		return
	}
	done(w, r, "/webhooks", "webhook_deleted")
}
