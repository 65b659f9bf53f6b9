package web

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

// chatsAtOnce is how many chats the list shows before "more".
const chatsAtOnce = 40

// inboxPage is the list of chats, and beside it a thread or nothing.
type inboxPage struct {
	List   chatList
	Thread *thread
	// Panel is what is known of the thread's client, nil when nobody asked.
	Panel *panel
}

// chatList is the list of chats, or what was found.
type chatList struct {
	Rows []chatRow
	filters
	// Found is what was searched for, nil without a search.
	Found *found
	// Next is the link to the next page, empty on the last.
	Next string
}

// chatRow is one chat in the list.
type chatRow struct {
	inbox.Chat
	Name string
	// At is when it was last active, Shown in the reader's zone.
	At    time.Time
	Shown string
	// Open says that its thread is beside the list.
	Open bool
	Link string
}

func (p *pages) showInbox(w http.ResponseWriter, r *http.Request) {
	place := p.Desk.Place(r.Context())
	list, err := p.list(r, 0)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if isFragment(r) {
		p.fragment(w, r, http.StatusOK, "chats", list)
		return
	}
	p.show(w, r, http.StatusOK, "inbox", frame{Title: "inbox.title", Here: "inbox", Script: true, Place: place, Page: inboxPage{List: list}})
}

// list reads the chats that the request asks for; open is the one whose thread is
// shown.
func (p *pages) list(r *http.Request, open int64) (l chatList, err error) {
	q := r.URL.Query()
	if isFragment(r) {
		open, _ = strconv.ParseInt(q.Get("open"), 10, 64)
	}
	who := access.From(r.Context())
	counts, err := p.Desk.Store.ChatCounts(r.Context(), who.Tenant, who.User)
	if err != nil {
		return l, err
	}
	labels, err := p.Desk.Store.Labels(r.Context(), who.Tenant)
	if err != nil {
		return l, err
	}
	l.filters = readFilters(q, counts, labels)
	if l.Words != "" {
		l.Found, err = p.find(r, l.filters)
		return l, err
	}
	chats, next, err := p.Desk.Chats(r.Context(), who.Tenant, store.ChatPage{
		Cursor: q.Get("cursor"), Limit: chatsAtOnce, ChatFilter: l.chats(who.User),
	})
	if err != nil {
		return l, err
	}
	keep := l.query()
	now, loc := time.Now(), zone(r)
	for i := range chats {
		c := chatRow{Chat: chats[i], Name: clientName(chats[i].Client), At: chats[i].Client.CreatedAt, Open: chats[i].ID == open}
		if at := chats[i].LastMessageAt; at != nil {
			c.At = *at
		}
		c.Shown = shortTime(c.At, now, loc)
		c.Link = withQuery("/inbox/"+strconv.FormatInt(c.ID, 10), keep)
		l.Rows = append(l.Rows, c)
	}
	if next != "" {
		keep.Set("cursor", next)
		l.Next = withQuery("/inbox", keep)
	}
	return l, nil
}

func withQuery(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

func clientName(c inbox.Client) string {
	if c.LastName == "" {
		return c.FirstName
	}
	return c.FirstName + " " + c.LastName
}

// shortTime is a time of today, or else a day; the browser says it in its own
// words.
func shortTime(at, now time.Time, loc *time.Location) string {
	at, now = at.In(loc), now.In(loc)
	switch {
	case sameDay(at, now):
		return at.Format("15:04")
	case at.Year() == now.Year():
		return at.Format("2 Jan")
	}
	return at.Format("2 Jan 2006")
}

func sameDay(a, b time.Time) bool {
	return a.Year() == b.Year() && a.YearDay() == b.YearDay()
}
