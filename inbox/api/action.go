package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
)

// MessageRef names a message. It is exported because huma skips embedded fields
// that are not.
type MessageRef struct {
	ForTenant
	Message int64 `path:"message" minimum:"1" doc:"The message's id."`
}

func (a *api) actions(h huma.API) {
	const later = "Queued behind what was written to the same person before; a fact tells once the provider has accepted. " +
		"What the channel cannot do is refused with 409 and the code refused, in words."
	type edit struct {
		MessageRef
		Body struct {
			Text string `json:"text" minLength:"1" doc:"What the message says from now on."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "edit-message", Method: http.MethodPost, Path: "/api/v1/messages/{message}/edit",
		Summary: "Change a message that was sent", Description: later, DefaultStatus: http.StatusAccepted,
	}, func(ctx context.Context, in *edit) (inbox.Message, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Message{}, err
		}
		return a.Desk.Edit(ctx, tenant, access.From(ctx).User, in.Message, in.Body.Text)
	})
	type react struct {
		MessageRef
		Body struct {
			Emoji []string `json:"emoji" nullable:"false" maxItems:"10" doc:"All our reactions; an empty list takes them back."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "react-to-message", Method: http.MethodPost, Path: "/api/v1/messages/{message}/react",
		Summary: "React to a message", Description: later, DefaultStatus: http.StatusAccepted,
	}, func(ctx context.Context, in *react) (inbox.Message, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Message{}, err
		}
		return a.Desk.React(ctx, tenant, access.From(ctx).User, in.Message, in.Body.Emoji)
	})
}
