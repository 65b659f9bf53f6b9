package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
)

// AlertBot is the bot that tells a tenant's agents.
type AlertBot struct {
	Channel string `json:"channel" maxLength:"200" doc:"Id or name of a Telegram channel; empty when none is chosen."`
}

func (a *api) alerts(h huma.API) {
	type setMine struct {
		ForTenant
		Body inbox.AlertSettings
	}
	type set struct {
		UserRef
		Body inbox.AlertSettings
	}
	const words = "Alerts go to who has no page open, of chats that are theirs, their team's or nobody's: at most one per chat and quiet time, at most once. " +
		"They have a link to the chat, and nothing of what was written."
	handle(a, h, huma.Operation{
		OperationID: "show-my-alerts", Method: http.MethodGet, Path: "/api/v1/me/alerts", Summary: "Say what one is told of while no page is open",
	}, func(ctx context.Context, in *ForTenant) (inbox.AlertSettings, error) {
		tenant, err := a.tenant(ctx, *in)
		if err != nil {
			return inbox.AlertSettings{}, err
		}
		return a.Desk.Store.AlertSettings(ctx, tenant, access.From(ctx).User)
	})
	handle(a, h, huma.Operation{
		OperationID: "set-my-alerts", Method: http.MethodPut, Path: "/api/v1/me/alerts", Summary: "Choose what one is told of while no page is open", Description: words,
	}, func(ctx context.Context, in *setMine) (inbox.AlertSettings, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.AlertSettings{}, err
		}
		return a.Desk.SetAlerts(ctx, tenant, access.From(ctx).User, in.Body)
	})
	handle(a, h, huma.Operation{
		OperationID: "show-alerts", Method: http.MethodGet, Path: "/api/v1/users/{user}/alerts", Summary: "Say what a user is told of while they have no page open",
	}, func(ctx context.Context, in *UserRef) (inbox.AlertSettings, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.AlertSettings{}, err
		}
		return a.Desk.Store.AlertSettings(ctx, tenant, in.User)
	})
	handle(a, h, huma.Operation{
		OperationID: "set-alerts", Method: http.MethodPut, Path: "/api/v1/users/{user}/alerts", Summary: "Choose what a user is told of while they have no page open", Description: words,
	}, func(ctx context.Context, in *set) (inbox.AlertSettings, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.AlertSettings{}, err
		}
		return a.Desk.SetAlerts(ctx, tenant, in.User, in.Body)
	})
	handle(a, h, huma.Operation{
		OperationID: "get-alert-bot", Method: http.MethodGet, Path: "/api/v1/alert-bot", Summary: "Say which bot tells the agents of new messages",
	}, func(ctx context.Context, in *ForTenant) (AlertBot, error) {
		tenant, err := a.tenant(ctx, *in)
		if err != nil {
			return AlertBot{}, err
		}
		id, err := a.Desk.Store.AlertBot(ctx, tenant)
		return AlertBot{Channel: string(id)}, err
	})
	type setBot struct {
		ForTenant
		Body AlertBot
	}
	handle(a, h, huma.Operation{
		OperationID: "set-alert-bot", Method: http.MethodPut, Path: "/api/v1/alert-bot", Summary: "Choose the bot that tells the agents of new messages",
		Description: "One of the tenant's Telegram channels. Each agent writes to it first: a bot cannot begin a conversation. One of their own, that no client writes to, is best.",
	}, func(ctx context.Context, in *setBot) (AlertBot, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return AlertBot{}, err
		}
		ch, err := a.Desk.Channel(ctx, tenant, in.Body.Channel)
		if err != nil {
			return AlertBot{}, err
		}
		return AlertBot{Channel: string(ch.ID)}, a.Desk.Store.SetAlertBot(ctx, tenant, ch.ID)
	})
}

// enter counts who follows as having a page open; programs have none.
func (a *api) enter(tenant events.TenantID, who access.Principal) (leave func()) {
	if who.Kind != inbox.UserActor || who.User == 0 {
		return func() {}
	}
	return a.Desk.Enter(inbox.Present{Tenant: tenant, User: who.User})
}
