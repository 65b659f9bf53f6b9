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

// foundAtOnce is how many clients, and how many messages, a search shows.
const foundAtOnce = 30

// found is what a search found.
type found struct {
	Clients  []foundClient
	Messages []foundMessage
	// Next is the link to further messages, empty when there are none.
	Next string
	// Trouble says what was wrong with the words, empty when nothing.
	Trouble string
}

type foundClient struct {
	store.FoundClient
	Name, Link string
}

type foundMessage struct {
	store.FoundMessage
	Shown, Link string
}

// find searches messages and clients.
func (p *pages) find(r *http.Request, f filters) (*found, error) {
	tenant := access.From(r.Context()).Tenant
	cursor := r.URL.Query().Get("cursor")
	out := &found{}
	messages, next, err := p.Desk.Store.SearchMessages(r.Context(), tenant, store.Search{Words: f.Words, Cursor: cursor, Limit: foundAtOnce})
	var clients []store.FoundClient
	if err == nil && cursor == "" {
		clients, _, err = p.Desk.Store.SearchClients(r.Context(), tenant, store.Search{Words: f.Words, Limit: foundAtOnce})
	}
	if inbox.CodeOf(err) == inbox.Invalid {
		out.Trouble = p.words(r, err)
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	keep := f.query()
	for _, c := range clients {
		if c.ChatID != 0 {
			name := clientName(inbox.Client{FirstName: c.FirstName, LastName: c.LastName})
			out.Clients = append(out.Clients, foundClient{c, name, withQuery("/inbox/"+strconv.FormatInt(c.ChatID, 10), keep)})
		}
	}
	now, loc := time.Now(), zone(r)
	for _, m := range messages {
		seq := strconv.FormatInt(m.Seq, 10)
		at := url.Values{"at": {seq}}
		for k, v := range keep {
			at[k] = v
		}
		out.Messages = append(out.Messages, foundMessage{
			m, shortTime(m.CreatedAt, now, loc), withQuery("/inbox/"+strconv.FormatInt(m.ChatID, 10), at) + "#m" + seq,
		})
	}
	if next != "" {
		keep.Set("cursor", next)
		out.Next = withQuery("/inbox", keep)
	}
	return out, nil
}
