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
func (d *Desk) Edit(ctx context.Context, tenant events.TenantID, message int64, text string) (inbox.Message, error) {
	return d.act(ctx, store.Act{Tenant: tenant, Message: message, Action: inbox.Action{Text: &text}})
}

// React sets our reactions to a message; none takes them back.
func (d *Desk) React(ctx context.Context, tenant events.TenantID, message int64, emoji []string) (inbox.Message, error) {
	return d.act(ctx, store.Act{Tenant: tenant, Message: message, Action: inbox.Action{Emoji: emoji}})
}

func (d *Desk) act(ctx context.Context, a store.Act) (inbox.Message, error) {
	operator, err := d.Store.EnsureOperator(ctx, a.Tenant)
	if err != nil {
		return inbox.Message{}, err
	}
	a.User = operator.ID
	if a.Can, err = d.abilities(ctx, a.Tenant); err != nil {
		return inbox.Message{}, err
	}
	return d.Store.Act(ctx, a)
}
