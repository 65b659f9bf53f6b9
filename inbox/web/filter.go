package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// filters say which chats the list shows, and how many there are of each.
type filters struct {
	// Folder is one of folders, or "team-" and a team's id.
	Folder string
	Unread bool
	// Transport is empty for any, Label 0.
	Transport events.Transport
	Label     int64
	// Words are what is searched for.
	Words string

	Folders    []folder
	Transports []events.Transport
	Labels     []inbox.Label
	// UnreadLink shows the same list with unread chats only, or with all again.
	UnreadLink string
}

// folder is one of the inbox's lists.
type folder struct {
	ID string
	// Text is the catalog's, or else Name a team's.
	Text, Name string
	inbox.ChatCount
	Chosen bool
	Link   string
}

// channelKinds are the networks that a list can be narrowed to.
var channelKinds = []events.Transport{events.Telegram, events.WhatsApp, events.SMS, events.Email}

// readFilters reads a query; what it says that does not exist is left out.
func readFilters(q url.Values, c inbox.ChatCounts, labels []inbox.Label) filters {
	f := filters{
		Folder: q.Get("folder"), Unread: q.Get("filter") == "unread", Transport: events.Transport(q.Get("transport")),
		Words: strings.TrimSpace(q.Get("q")), Transports: channelKinds, Labels: labels,
	}
	f.Folders = []folder{
		{ID: "", Text: "filter.all", ChatCount: c.Open},
		{ID: "mine", Text: "filter.mine", ChatCount: c.Mine},
		{ID: "unassigned", Text: "filter.unassigned", ChatCount: c.Unassigned},
	}
	for _, t := range c.Teams {
		f.Folders = append(f.Folders, folder{ID: "team-" + strconv.FormatInt(t.Team.ID, 10), Name: t.Team.Name, ChatCount: t.ChatCount})
	}
	f.Folders = append(f.Folders,
		folder{ID: "snoozed", Text: "filter.snoozed", ChatCount: c.Snoozed},
		folder{ID: "closed", Text: "filter.closed", ChatCount: c.Closed},
	)
	if !slices.ContainsFunc(f.Folders, func(x folder) bool { return x.ID == f.Folder }) {
		f.Folder = ""
	}
	if !slices.Contains(channelKinds, f.Transport) {
		f.Transport = ""
	}
	id, _ := strconv.ParseInt(q.Get("label"), 10, 64)
	if slices.ContainsFunc(labels, func(l inbox.Label) bool { return l.ID == id }) {
		f.Label = id
	}
	for i := range f.Folders {
		x := &f.Folders[i]
		x.Chosen = x.ID == f.Folder && f.Words == ""
		at := f
		at.Folder, at.Words = x.ID, ""
		x.Link = withQuery("/inbox", at.query())
	}
	other := f
	other.Unread, other.Words = !f.Unread, ""
	f.UnreadLink = withQuery("/inbox", other.query())
	return f
}

// query is what readFilters reads.
func (f filters) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"folder": f.Folder, "transport": string(f.Transport), "q": f.Words} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Unread {
		q.Set("filter", "unread")
	}
	if f.Label != 0 {
		q.Set("label", strconv.FormatInt(f.Label, 10))
	}
	return q
}

// chats is the filter for a user.
func (f filters) chats(user int64) store.ChatFilter {
	c := store.ChatFilter{Status: inbox.ChatOpen, Unread: f.Unread, Transport: f.Transport, Label: f.Label}
	switch f.Folder {
	case "mine":
		c.Assignee = user
	case "unassigned":
		c.Unassigned = true
	case "snoozed":
		c.Status = inbox.ChatSnoozed
	case "closed":
		c.Status = inbox.ChatClosed
	default:
		if team, ok := strings.CutPrefix(f.Folder, "team-"); ok {
			c.Team, _ = strconv.ParseInt(team, 10, 64)
		}
	}
	return c
}
