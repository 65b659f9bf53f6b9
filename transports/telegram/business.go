package telegram

import (
	"fmt"
	"strconv"

	"parley/events"
)

// The updates of business accounts that the bot is connected to
// (https://core.telegram.org/bots/api#businessconnection): people write to the
// account, and the bot reads along and may answer in its name. What its owner
// writes on a phone comes too, and is ours.

// connect makes the update one of a business connection. Without a usable id no
// reply would find its way, so that the update is shown as unsupported.
func (p *parser) connect(id, field string) bool {
	if !validConnection(id) {
		p.note("the update names no business connection")
		p.unsupported(field)
		return false
	}
	p.connection = id
	return true
}

// business accounts for a connection that was made, changed or ended. It is no
// client's doing.
func (p *parser) business(c *businessConnection) {
	p.ev.ProviderTime = unix(c.Date)
	if p.broken {
		p.unsupported("business_connection")
		return
	}
	switch {
	case !c.IsEnabled:
		p.ignored(reasonDisconnected)
	case !c.CanReply && (c.Rights == nil || !c.Rights.CanReply):
		p.ignored(reasonReadOnly)
	default:
		p.ignored(reasonConnected)
	}
}

// maxDeleted is how many deleted messages are shown one by one: what Telegram
// deletes at once at most (https://core.telegram.org/bots/api#deletemessages).
const maxDeleted = 100

// deleted tells of messages that were deleted, by the client or by the account's
// owner: Telegram does not say by whom. Each is a service message that answers
// the deleted one, so that nothing stored is taken away.
func (p *parser) deleted(d *messagesDeleted) []events.Inbound {
	p.person(nil, d.Chat)
	switch {
	case p.refuses(d.Chat):
		return []events.Inbound{p.ev}
	case p.broken || d.Chat.ID == 0 || len(d.MessageIDs) == 0:
		p.unsupported("deleted_business_messages")
		return []events.Inbound{p.ev}
	}
	p.ev.Kind = events.Message
	if len(d.MessageIDs) > maxDeleted {
		p.keyOfUpdate()
		p.ev.Content = &events.Content{Type: events.Service, Text: fmt.Sprintf("%d messages were deleted in Telegram", len(d.MessageIDs))}
		return []events.Inbound{p.ev}
	}
	out := make([]events.Inbound, 0, len(d.MessageIDs))
	for _, id := range d.MessageIDs {
		ev := p.ev
		key := p.in(d.Chat).key(id)
		ev.Key = events.MessageKey{Chat: p.ev.Person.Address, Message: "deleted:" + strconv.FormatInt(id, 10)}
		ev.Content = &events.Content{Type: events.Service, Text: "a message was deleted in Telegram"}
		if key.Valid() {
			ev.Content.ReplyTo = &key
		}
		out = append(out, ev)
	}
	return out
}
