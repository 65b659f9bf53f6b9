package web

import (
	"net/http"
	"strconv"
	"time"

	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

// scheduledAtOnce is how many scheduled replies a chat's page shows.
const scheduledAtOnce = 50

// scheduledRow is a reply that waits for its time.
type scheduledRow struct {
	inbox.Scheduled
	Shown string
}

// scheduled are the chat's replies that wait.
func (p *pages) scheduled(r *http.Request, chat int64) (list []scheduledRow, err error) {
	all, err := p.Desk.Store.Scheduled(r.Context(), access.From(r.Context()).Tenant, store.ScheduledPage{Chat: chat, Limit: scheduledAtOnce})
	loc := zone(r)
	for _, s := range all {
		list = append(list, scheduledRow{s, s.DueAt.In(loc).Format("Mon 2 Jan 15:04")})
	}
	return list, err
}

// showScheduled are they for scripts.
func (p *pages) showScheduled(w http.ResponseWriter, r *http.Request) {
	id, err := chatID(r)
	var list []scheduledRow
	if err == nil {
		list, err = p.scheduled(r, id)
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.fragment(w, r, http.StatusOK, "scheduled", list)
}

// cancelScheduled takes back a reply that waits.
func (p *pages) cancelScheduled(r *http.Request, chat int64) error {
	id, err := strconv.ParseInt(r.PathValue("scheduled"), 10, 64)
	if err != nil {
		return notFound("page.not_found")
	}
	who := access.From(r.Context())
	s, err := p.Desk.Store.OneScheduled(r.Context(), who.Tenant, id)
	if err == nil && s.ChatID != chat {
		err = notFound("page.not_found")
	}
	if err == nil {
		_, err = p.Desk.Store.CancelScheduled(r.Context(), who.Tenant, id)
	}
	return err
}

// later is when a reply is to be sent, zero for now.
func (f *replyForm) later(loc *time.Location) (time.Time, error) {
	if f.at == "" {
		return time.Time{}, nil
	}
	return parseTime(f.at, f.atOther, loc)
}
