package web

import (
	"net/http"
	"strconv"
	"strings"

	"parley/inbox"
	"parley/inbox/access"
)

// reactions are those that are offered; every network that takes any takes these
// (https://core.telegram.org/bots/api#reactiontypeemoji).
func reactions() []string {
	return []string{"👍", "❤", "🔥", "🎉", "🙏", "👌", "😁", "😢"}
}

// ofChat is the message that a path names, if it is in the chat.
func (p *pages) ofChat(r *http.Request, chat int64) (inbox.Message, error) {
	id, err := strconv.ParseInt(r.PathValue("message"), 10, 64)
	if err != nil {
		return inbox.Message{}, notFound("message.not_found")
	}
	m, err := p.Desk.Store.Message(r.Context(), access.From(r.Context()).Tenant, id)
	if err == nil && m.ChatID != chat {
		err = notFound("message.not_found")
	}
	return m, err
}

// edit changes what a message says, for the client, too.
func (p *pages) edit(r *http.Request, chat int64) error {
	m, err := p.ofChat(r, chat)
	if err != nil {
		return err
	}
	who := access.From(r.Context())
	_, err = p.Desk.Edit(r.Context(), who.Tenant, who.User, m.ID, strings.ReplaceAll(r.PostFormValue("text"), "\r\n", "\n"))
	return err
}

// react sets our reaction to a message; an empty one takes it back.
func (p *pages) react(r *http.Request, chat int64) error {
	m, err := p.ofChat(r, chat)
	if err != nil {
		return err
	}
	var emoji []string
	if e := r.PostFormValue("emoji"); e != "" {
		emoji = []string{e}
	}
	who := access.From(r.Context())
	_, err = p.Desk.React(r.Context(), who.Tenant, who.User, m.ID, emoji)
	return err
}

// undo takes a reply back that has not left.
func (p *pages) undo(r *http.Request, chat int64) error {
	m, err := p.ofChat(r, chat)
	if err != nil {
		return err
	}
	_, err = p.Desk.Store.Undo(r.Context(), access.From(r.Context()).Tenant, m.ID)
	return err
}
