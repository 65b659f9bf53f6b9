package web

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
)

// composer is the form for a reply, with what was typed into it so far.
type composer struct {
	Routes []route
	// Seen is the newest message that its writer has before them.
	Seen int64
	// Key makes a form that is sent twice one reply.
	Key                            string
	Text, Channel, Subject, To, Cc string
	// Note says that it is for colleagues only.
	Note bool
	// ReplyTo is the id of the message that is answered in particular, 0 for none;
	// Answers is its text in short.
	ReplyTo int64
	Answers string
	// Stale says that something newer was missed; Force sends all the same.
	Stale, Force bool
	// Closed says why nothing can be sent, empty when something can.
	Closed string
	// Mail says that the chosen way has subjects.
	Mail bool
	// Used is the template that the text began with, and Templates which there are.
	Used      usedTemplate
	Templates []inbox.MessageTemplate
	// Times are when it may be sent instead of now.
	Times []preset
	// Kept is when the text was kept as a draft, zero when it was not.
	Kept time.Time
}

// route is one way to answer.
type route struct {
	inbox.Route
	Chosen bool
	// Shut says that nothing can be sent on it; where only templates can, it is not.
	Shut bool
}

// begin is the form that a link asks for: an answer to one message, a template,
// what could not be sent once more, or what was kept as a draft.
func (p *pages) begin(r *http.Request) (c composer, err error) {
	q := r.URL.Query()
	chat, err := chatID(r)
	if err != nil {
		return c, err
	}
	who := access.From(r.Context())
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(q.Get(name), 10, 64)
		return n
	}
	c.ReplyTo = number("reply_to")
	switch {
	case number("template") > 0:
		c.Used, c.Text, err = p.useTemplate(r, chat, number("template"))
	case number("again") > 0:
		r.SetPathValue("message", q.Get("again"))
		var m inbox.Message
		m, err = p.ofChat(r, chat)
		c.Text = m.Text
	case who.Role.AtLeast(inbox.Agent):
		var d inbox.Draft
		d, err = p.Desk.Store.Draft(r.Context(), who.Tenant, chat, who.User)
		c.Text, c.Channel, c.Kept = d.Text, string(d.Channel), d.UpdatedAt
		if c.ReplyTo == 0 {
			c.ReplyTo = d.ReplyTo
		}
	}
	return c, err
}

// forChat fills in what the chat says.
func (c composer) forChat(chat *inbox.Chat) composer {
	if c.Seen == 0 {
		c.Seen = chat.LastSeq
	}
	if c.Key == "" {
		c.Key = rand.Text()
	}
	chosen := -1
	for i, r := range chat.Routes {
		template := r.State == inbox.RouteWindowClosed && r.Can != nil && r.Can.Templates
		c.Routes = append(c.Routes, route{Route: r, Shut: r.State != inbox.RouteOpen && !template})
		if r.State != inbox.RouteOpen {
			c.Closed = r.Reason
		}
		usable := r.State == inbox.RouteOpen || template && (string(r.Channel) == c.Channel || c.Used.ID != 0)
		if usable && (string(r.Channel) == c.Channel || chosen < 0) {
			chosen = i
		}
	}
	if chosen >= 0 {
		c.Closed = ""
		c.Routes[chosen].Chosen = true
		c.Channel = string(c.Routes[chosen].Channel)
		c.Mail = c.Routes[chosen].Can != nil && c.Routes[chosen].Can.Mail
	}
	return c
}

// showWays is how a client can be written to, for scripts, after something
// happened that may have opened or closed a way; "channel" is the one chosen.
func (p *pages) showWays(w http.ResponseWriter, r *http.Request) {
	chat, err := p.chatOf(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	c := composer{Channel: r.URL.Query().Get("channel")}
	p.fragment(w, r, http.StatusOK, "ways", c.forChat(&chat))
}

// keepDraft keeps what is being written, in case the browser is closed.
func (p *pages) keepDraft(r *http.Request, chat int64) error {
	who := access.From(r.Context())
	d := inbox.Draft{ChatID: chat, Text: strings.ReplaceAll(r.FormValue("text"), "\r\n", "\n"), Channel: events.ChannelID(r.FormValue("channel"))}
	d.ReplyTo, _ = strconv.ParseInt(r.FormValue("reply_to"), 10, 64)
	return p.Desk.Store.PutDraft(r.Context(), who.Tenant, who.User, d)
}
