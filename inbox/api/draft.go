package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/events"
	"parley/inbox"
)

func (a *api) drafts(h huma.API) {
	handle(a, h, huma.Operation{
		OperationID: "get-draft", Method: http.MethodGet, Path: "/api/v1/chats/{chat}/draft", Summary: "Show what one has begun to write",
		Description: "One's own only. Without text when there is none.",
	}, func(ctx context.Context, in *ChatRef) (inbox.Draft, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Draft{}, err
		}
		user, err := a.user(ctx, tenant)
		if err != nil {
			return inbox.Draft{}, err
		}
		return a.Desk.Store.Draft(ctx, tenant, in.Chat, user)
	})
	type putDraft struct {
		ChatRef
		Body struct {
			Text    string           `json:"text" maxLength:"65536" doc:"Empty to discard it, which is also to be done once it was sent."`
			Channel events.ChannelID `json:"channel,omitempty" format:"uuid" doc:"The channel chosen so far."`
			ReplyTo int64            `json:"reply_to,omitempty" minimum:"1" doc:"Id of the message to be answered."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "put-draft", Method: http.MethodPut, Path: "/api/v1/chats/{chat}/draft", Summary: "Keep what one has begun to write",
	}, func(ctx context.Context, in *putDraft) (inbox.Draft, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Draft{}, err
		}
		user, err := a.user(ctx, tenant)
		if err != nil {
			return inbox.Draft{}, err
		}
		d := inbox.Draft{ChatID: in.Chat, Text: in.Body.Text, Channel: in.Body.Channel, ReplyTo: in.Body.ReplyTo}
		if err := a.Desk.Store.PutDraft(ctx, tenant, user, d); err != nil {
			return inbox.Draft{}, err
		}
		return a.Desk.Store.Draft(ctx, tenant, in.Chat, user)
	})
}
