package web

import (
	"net/http"
	"strconv"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

// administration adds the pages beside the inbox.
func (p *pages) administration(mux *http.ServeMux) {
	p.clientPages(mux)
	p.templatePages(mux)
	p.channelPages(mux)
	p.userPages(mux)
	p.tokenPages(mux)
	p.webhookPages(mux)
	p.auditPages(mux)
	p.profilePages(mux)
	p.journeyPages(mux)
	p.quarantinePages(mux)
}

// ours are how the paths of pages begin that somebody who logs in may go on to.
func ours() []string {
	return []string{"inbox", "clients", "templates", "deliveries", "channels", "users", "tokens", "webhooks", "audit-log", "profile", "messages", "connect", "quarantine"}
}

// looking is a page that takes a role.
func (p *pages) looking(role inbox.Role, f func(http.ResponseWriter, *http.Request)) http.Handler {
	return p.forAgents(func(w http.ResponseWriter, r *http.Request) {
		if !access.From(r.Context()).Role.AtLeast(role) {
			p.fail(w, r, &inbox.Error{Code: inbox.Forbidden, Message: "error.role_" + string(role)})
			return
		}
		f(w, r)
	})
}

// menuItem is a page in the menu.
type menuItem struct {
	Path, Here, Text string
	// Count is how many things there need somebody; Many that there are more.
	Count int
	Many  bool
}

// menu are the pages that somebody may see.
func (p *pages) menu(r *http.Request) []menuItem {
	who := access.From(r.Context())
	if who.Session == "" {
		return nil
	}
	all := []menuItem{
		{Path: "/inbox", Here: "inbox", Text: "nav.inbox"},
		{Path: "/clients", Here: "clients", Text: "nav.clients"},
		{Path: "/templates", Here: "templates", Text: "nav.templates"},
		p.troubled(r, menuItem{Path: "/deliveries", Here: "deliveries", Text: "nav.deliveries"}),
		{Path: "/channels", Here: "channels", Text: "nav.channels"},
		{Path: "/users", Here: "users", Text: "nav.users"},
	}
	if who.Role.AtLeast(inbox.Admin) {
		all = append(all,
			p.quarantined(r, menuItem{Path: "/quarantine", Here: "quarantine", Text: "nav.quarantine"}),
			menuItem{Path: "/tokens", Here: "tokens", Text: "nav.tokens"},
			menuItem{Path: "/webhooks", Here: "webhooks", Text: "nav.webhooks"},
			menuItem{Path: "/audit-log", Here: "audit", Text: "nav.audit"},
		)
	}
	return all
}

// troubled counts what failed or is uncertain.
func (p *pages) troubled(r *http.Request, at menuItem) menuItem {
	list, err := p.Desk.Deliveries(r.Context(), tenantOf(r), store.DeliveryPage{Limit: deliveriesAtOnce})
	if err != nil {
		p.log.WarnContext(r.Context(), "deliveries in trouble not counted", "error", err)
		return at
	}
	at.Count, at.Many = len(list), len(list) == deliveriesAtOnce
	return at
}

// tenantOf is whose pages are looked at.
func tenantOf(r *http.Request) events.TenantID { return access.From(r.Context()).Tenant }

// may reports whether who looks has a role.
func may(r *http.Request, role inbox.Role) bool { return access.From(r.Context()).Role.AtLeast(role) }

// number is a number in a request's path, 0 where there is none.
func number(r *http.Request, name string) int64 {
	n, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// decimal is a number for a link or a field.
func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// done goes on to a page, which says what was done: a text called done. and id.
func done(w http.ResponseWriter, r *http.Request, path, id string) {
	http.Redirect(w, r, path+"?done="+id, http.StatusSeeOther)
}
