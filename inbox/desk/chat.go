package desk

import (
	"context"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// Chats lists chats, the last active first; see [store.DB.Chats].
func (d *Desk) Chats(ctx context.Context, tenant events.TenantID, page store.ChatPage) ([]inbox.Chat, string, error) {
	return d.Store.Chats(ctx, tenant, page)
}

// Chat returns one chat with the ways to reach its client, and whether each is
// open.
func (d *Desk) Chat(ctx context.Context, tenant events.TenantID, id int64) (inbox.Chat, error) {
	chat, err := d.Store.Chat(ctx, tenant, id)
	if err != nil {
		return chat, err
	}
	return chat, d.judge(ctx, tenant, &chat)
}

// Messages lists a chat's messages; see [store.DB.Messages].
func (d *Desk) Messages(ctx context.Context, tenant events.TenantID, chat int64, page store.MessagePage) ([]inbox.Message, bool, error) {
	return d.Store.Messages(ctx, tenant, chat, page)
}

// MarkRead marks what the client wrote up to seq as read and returns how many
// messages that were.
func (d *Desk) MarkRead(ctx context.Context, tenant events.TenantID, chat, seq int64) (int64, error) {
	return d.Store.MarkRead(ctx, tenant, chat, seq)
}
