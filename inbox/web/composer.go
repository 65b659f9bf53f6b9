package web

import (
	"crypto/rand"

	"parley/inbox"
)

// composer is the form for a reply, with what was typed into it so far.
type composer struct {
	Routes []route
	// Seen is the newest message that its writer has before them.
	Seen int64
	// Key makes a form that is sent twice one reply.
	Key                    string
	Text, Channel, Subject string
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
}

// route is one way to answer.
type route struct {
	inbox.Route
	Chosen bool
}

// forChat fills in what the chat says.
func (c composer) forChat(chat *inbox.Chat) composer {
	if c.Seen == 0 {
		c.Seen = chat.LastSeq
	}
	if c.Key == "" {
		c.Key = rand.Text()
	}
	open := -1
	for i, r := range chat.Routes {
		c.Routes = append(c.Routes, route{Route: r})
		if r.State != inbox.RouteOpen {
			c.Closed = r.Reason
			continue
		}
		if string(r.Channel) == c.Channel || open < 0 {
			open = i
		}
	}
	if open >= 0 {
		c.Closed = ""
		c.Routes[open].Chosen = true
		c.Channel = string(c.Routes[open].Channel)
		c.Mail = c.Routes[open].Can != nil && c.Routes[open].Can.Mail
	}
	return c
}
