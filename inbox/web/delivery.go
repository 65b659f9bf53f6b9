package web

import (
	"context"
	"net/http"
	"strconv"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
)

// deliveriesPage is what failed, or is uncertain.
type deliveriesPage struct {
	Items []inbox.DeliveryItem
	// Next is the link to the page's continuation, empty on the last.
	Next string
}

// deliveriesAtOnce is how many deliveries a page shows.
const deliveriesAtOnce = 50

func (p *pages) showDeliveries(w http.ResponseWriter, r *http.Request) {
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	items, err := p.Desk.Deliveries(r.Context(), access.From(r.Context()).Tenant, store.DeliveryPage{Before: before, Limit: deliveriesAtOnce})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	page := deliveriesPage{Items: items}
	if len(items) == deliveriesAtOnce {
		page.Next = "/deliveries?before=" + strconv.FormatInt(items[len(items)-1].ID, 10)
	}
	p.show(w, r, http.StatusOK, "deliveries", frame{Title: "deliveries.title", Here: "deliveries", Script: true, Page: page})
}

// deliveryVerbs are what a person can do about a message that is on its way, or
// whose fate nobody knows.
var deliveryVerbs = map[string]func(context.Context, *desk.Desk, events.TenantID, int64) (inbox.Message, error){
	"cancel": func(ctx context.Context, d *desk.Desk, t events.TenantID, id int64) (inbox.Message, error) {
		return d.DeliveryCancel(ctx, t, id)
	},
	"retry": func(ctx context.Context, d *desk.Desk, t events.TenantID, id int64) (inbox.Message, error) {
		return d.DeliveryRetry(ctx, t, id)
	},
	"sent": func(ctx context.Context, d *desk.Desk, t events.TenantID, id int64) (inbox.Message, error) {
		return d.DeliverySettle(ctx, t, id, inbox.Sent)
	},
	"failed": func(ctx context.Context, d *desk.Desk, t events.TenantID, id int64) (inbox.Message, error) {
		return d.DeliverySettle(ctx, t, id, inbox.Failed)
	},
}

// settleDelivery does one of deliveryVerbs and goes back to the chat.
func (p *pages) settleDelivery(verb string) func(http.ResponseWriter, *http.Request) {
	do := deliveryVerbs[verb]
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(r.PathValue("delivery"), 10, 64)
		if err != nil {
			p.fail(w, r, notFound("page.not_found"))
			return
		}
		m, err := do(r.Context(), p.Desk, access.From(r.Context()).Tenant, id)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		http.Redirect(w, r, "/inbox/"+strconv.FormatInt(m.ChatID, 10)+"#m"+strconv.FormatInt(m.Seq, 10), http.StatusSeeOther)
	}
}
