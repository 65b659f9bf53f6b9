package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"parley/inbox"
	"parley/store"
)

// Quarantine keeps what could not be stored; pages reach what came by the
// tenant's own channels.
type Quarantine interface {
	QuarantineList(ctx context.Context, scope store.QuarantineScope, p store.QuarantinePage) ([]store.QuarantinedEvent, error)
	Quarantined(ctx context.Context, scope store.QuarantineScope, id int64) (store.QuarantinedEvent, error)
	Replay(ctx context.Context, scope store.QuarantineScope, id int64) (store.BatchResult, error)
	Preview(ctx context.Context, scope store.QuarantineScope, id int64) (store.ReplayPreview, error)
}

func (p *pages) quarantinePages(mux *http.ServeMux) {
	mux.Handle("GET /quarantine", p.looking(inbox.Admin, p.showQuarantine))
	mux.Handle("GET /quarantine/{event}", p.looking(inbox.Admin, p.showQuarantined))
	mux.Handle("POST /quarantine/{event}/replay", p.change(inbox.Admin, "quarantine.replay", p.replayQuarantined))
}

// quarantineAtOnce is how many events a page shows.
const quarantineAtOnce = 50

// quarantinePage is what could not be stored.
type quarantinePage struct {
	Items []store.QuarantinedEvent
	// All says that what was replayed is there, too; Next is the link to older ones.
	All  bool
	Next string
}

// quarantineOf is what who looks may reach.
func quarantineOf(r *http.Request) store.QuarantineScope {
	return store.QuarantineScope{Tenant: tenantOf(r)}
}

func (p *pages) showQuarantine(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	before, _ := strconv.ParseInt(q.Get("before"), 10, 64)
	page := quarantinePage{All: q.Get("all") != ""}
	items, err := p.Quarantine.QuarantineList(r.Context(), quarantineOf(r), store.QuarantinePage{All: page.All, Before: max(before, 0), Limit: quarantineAtOnce + 1})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if len(items) > quarantineAtOnce {
		items = items[:quarantineAtOnce]
		q.Set("before", decimal(items[quarantineAtOnce-1].ID))
		page.Next = "/quarantine?" + q.Encode()
	}
	page.Items = items
	p.show(w, r, http.StatusOK, "quarantine", frame{Title: "quarantine.title", Here: "quarantine", Script: true, Page: page})
}

// mostPayload is how much of an event a page shows, in bytes.
const mostPayload = 64 << 10

// quarantinedPage is one event, and what trying again would change.
type quarantinedPage struct {
	store.QuarantinedEvent
	Preview store.ReplayPreview
	// Payload is the event as it came, Cut where there is more of it.
	Payload string
	Cut     bool
	// Trouble is why it could not be stored just now, in words.
	Trouble string
}

func (p *pages) showQuarantined(w http.ResponseWriter, r *http.Request) {
	p.quarantinedPage(w, r, http.StatusOK, "")
}

func (p *pages) quarantinedPage(w http.ResponseWriter, r *http.Request, status int, trouble string) {
	id := number(r, "event")
	q, err := p.Quarantine.Quarantined(r.Context(), quarantineOf(r), id)
	var preview store.ReplayPreview
	if err == nil {
		preview, err = p.Quarantine.Preview(r.Context(), quarantineOf(r), id)
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	page := quarantinedPage{QuarantinedEvent: q, Preview: preview, Trouble: trouble}
	var pretty bytes.Buffer
	if json.Indent(&pretty, q.Event, "", "  ") != nil {
		pretty.Reset()
		pretty.Write(q.Event)
	}
	if page.Cut = pretty.Len() > mostPayload; page.Cut {
		pretty.Truncate(mostPayload)
	}
	page.Payload = strings.ToValidUTF8(pretty.String(), "\uFFFD")
	p.show(w, r, status, "quarantined", frame{Title: "quarantine.title", Here: "quarantine", Script: true, Page: page})
}

func (p *pages) replayQuarantined(w http.ResponseWriter, r *http.Request) {
	_, err := p.Quarantine.Replay(r.Context(), quarantineOf(r), number(r, "event"))
	switch {
	case inbox.CodeOf(err) == inbox.Invalid:
		p.quarantinedPage(w, r, statusOf(err), p.words(r, err))
	case err != nil:
		p.fail(w, r, err)
	default:
		done(w, r, "/quarantine/"+r.PathValue("event"), "replayed")
	}
}

// quarantined counts what waits in quarantine.
func (p *pages) quarantined(r *http.Request, at menuItem) menuItem {
	list, err := p.Quarantine.QuarantineList(r.Context(), quarantineOf(r), store.QuarantinePage{Limit: quarantineAtOnce})
	if err != nil {
		p.log.WarnContext(r.Context(), "what is in quarantine was not counted", "error", err)
		return at
	}
	at.Count, at.Many = len(list), len(list) == quarantineAtOnce
	return at
}
