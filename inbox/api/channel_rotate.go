package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/events"
	"parley/inbox/desk"
)

func (a *api) channelUpkeep(h huma.API) {
	// Not ChannelRef embedded: huma skips embedded fields that are not exported.
	type rotate struct {
		ForTenant
		Channel string `path:"channel" doc:"The channel's id, name, or transport where there is one of it."`
		Body    struct {
			Secrets   map[string]string `json:"secrets,omitempty" maxProperties:"10" doc:"New secrets by name; an empty one is taken away, the others stay. They are sealed and never shown again."`
			Webhook   bool              `json:"webhook,omitempty" doc:"Give the channel a new address to be called at, too."`
			Unchecked bool              `json:"unchecked,omitempty" doc:"Do not ask the provider whether the secrets are right."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "rotate-channel", Method: http.MethodPost, Path: "/api/v1/channels/{channel}/rotate",
		Summary: "Replace a channel's secrets", Description: "The provider is asked whether they are right, and of the same account, before anything changes.",
	}, func(ctx context.Context, in *rotate) (Channel, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return Channel{}, err
		}
		c, err := a.Desk.ChannelRotate(ctx, desk.Rotation{
			Tenant: tenant, Channel: in.Channel, Secrets: in.Body.Secrets, Webhook: in.Body.Webhook, Unchecked: in.Body.Unchecked,
		})
		return channelView(c, events.ChannelHealth{}), err
	})
	handle(a, h, huma.Operation{
		OperationID: "reconcile-channel", Method: http.MethodPost, Path: "/api/v1/channels/{channel}/reconcile",
		Summary: "Compare a channel with what its provider has", DefaultStatus: http.StatusAccepted,
		Description: "Within about a minute, what the provider has and Parley has not is stored. A provider that cannot list what it has is refused with 409.",
	}, func(ctx context.Context, in *ChannelRef) (Channel, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return Channel{}, err
		}
		c, err := a.Desk.ChannelReconcile(ctx, tenant, in.Channel)
		return channelView(c, events.ChannelHealth{}), err
	})
}
