package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"parley/inbox"
	"parley/store"
)

func (p *pages) auditPages(mux *http.ServeMux) {
	mux.Handle("GET /audit-log", p.looking(inbox.Admin, p.showAudit))
}

// auditAtOnce is how many entries a page shows.
const auditAtOnce = 100

// auditPage is who did what.
type auditPage struct {
	Items []store.AuditEntry
	// Action, Actor, From and Until are what was asked for; days as 2006-01-02.
	Action, Actor, From, Until string
	// Export is the query of the same time for the API; Next the link to older
	// entries.
	Export, Next string
}

func (p *pages) showAudit(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	before, _ := strconv.ParseInt(q.Get("before"), 10, 64)
	page := auditPage{Action: cut(strings.TrimSpace(q.Get("action")), 100), Actor: cut(strings.TrimSpace(q.Get("actor")), 100)}
	f := store.AuditFilter{Before: max(before, 0), Action: page.Action, Actor: strings.ReplaceAll(page.Actor, "\x00", ""), Limit: auditAtOnce + 1}
	f.Action = strings.ReplaceAll(f.Action, "\x00", "")
	export := url.Values{}
	// Days are the reader's own; the last one counts whole.
	loc := zone(r)
	if day, err := time.ParseInLocation(time.DateOnly, q.Get("from"), loc); err == nil {
		f.From, page.From = day, q.Get("from")
		export.Set("from", day.UTC().Format(time.RFC3339))
	}
	if day, err := time.ParseInLocation(time.DateOnly, q.Get("until"), loc); err == nil {
		f.Until, page.Until = day.AddDate(0, 0, 1), q.Get("until")
		export.Set("until", f.Until.UTC().Format(time.RFC3339))
	}
	page.Export = export.Encode()
	items, err := p.Desk.Store.FindAudit(r.Context(), tenantOf(r), f)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if len(items) > auditAtOnce {
		items = items[:auditAtOnce]
		q.Set("before", decimal(items[auditAtOnce-1].ID))
		page.Next = "/audit-log?" + q.Encode()
	}
	page.Items = items
	p.show(w, r, http.StatusOK, "audit-log", frame{Title: "audit.title", Here: "audit", Script: true, Page: page})
}
