package desk

import (
	"context"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// Edit changes the text of a message that was sent, for the client, too; see
// [store.DB.Act] for when it refuses. The message changes once the provider has
// accepted.
//
// User is the agent's id, 0 for the tenant's default operator.
func (d *Desk) Edit(ctx context.Context, tenant events.TenantID, user, message int64, text string) (inbox.Message, error) {
	return d.act(ctx, store.Act{Tenant: tenant, Message: message, Action: inbox.Action{Text: &text, User: user}})
}

// React sets our reactions to a message; none takes them back. User is as Edit's.
func (d *Desk) React(ctx context.Context, tenant events.TenantID, user, message int64, emoji []string) (inbox.Message, error) {
	return d.act(ctx, store.Act{Tenant: tenant, Message: message, Action: inbox.Action{Emoji: emoji, User: user}})
}

func (d *Desk) act(ctx context.Context, a store.Act) (inbox.Message, error) {
	var err error
	if a.User, err = d.agent(ctx, a.Tenant, a.User); err != nil {
		return inbox.Message{}, err
	}
	if a.Can, err = d.abilities(ctx, a.Tenant); err != nil {
		return inbox.Message{}, err
	}
	return d.Store.Act(ctx, a)
}
