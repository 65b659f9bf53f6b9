package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/store"
)

// ChatRef names a chat. It is exported because huma skips embedded fields that are not.
type ChatRef struct {
	ForTenant
	Chat int64 `path:"chat" minimum:"1" doc:"The chat's id."`
}

func (a *api) chats(h huma.API) {
	type listChats struct {
		ForTenant
		Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many."`
		Cursor string `query:"cursor" doc:"The next of an earlier page."`
		Unread bool   `query:"unread" doc:"Only chats with unread messages."`
	}
	handle(a, h, huma.Operation{
		OperationID: "list-chats", Method: http.MethodGet, Path: "/api/v1/chats", Summary: "List chats, the last active first",
		Description: "Without routes. A chat's unread count stops at 1000.",
	}, func(ctx context.Context, in *listChats) (List[inbox.Chat], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[inbox.Chat]{}, err
		}
		cs, next, err := a.Desk.Chats(ctx, tenant, store.ChatPage{Cursor: in.Cursor, Limit: in.Limit, Unread: in.Unread})
		return list(cs, next), err
	})
	handle(a, h, huma.Operation{
		OperationID: "get-chat", Method: http.MethodGet, Path: "/api/v1/chats/{chat}",
		Summary: "Show a chat and the ways to reach its client", Description: "The first route is where a reply goes unless it says otherwise.",
	}, func(ctx context.Context, in *ChatRef) (inbox.Chat, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Chat{}, err
		}
		return a.Desk.Chat(ctx, tenant, in.Chat)
	})
	type typing struct {
		ChatRef
		Body struct {
			Channel string `json:"channel,omitempty" doc:"Id or name of the channel; the one that a reply would take when absent."`
		}
	}
	type shown struct {
		Shown bool `json:"shown" doc:"False where the client cannot see that: the channel does not show it, or takes no message now."`
	}
	handle(a, h, huma.Operation{
		OperationID: "show-typing", Method: http.MethodPost, Path: "/api/v1/chats/{chat}/typing", Summary: "Show the client that somebody writes",
		Description: "For a few seconds; ask again while that goes on: more often than every four seconds has no effect. Nothing is stored.",
	}, func(ctx context.Context, in *typing) (shown, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return shown{}, err
		}
		is, err := a.Desk.Typing(ctx, tenant, in.Chat, in.Body.Channel)
		return shown{Shown: is}, err
	})
	type markRead struct {
		ChatRef
		Body struct {
			Seq int64 `json:"seq" minimum:"1" doc:"Up to and including this message."`
		}
	}
	type marked struct {
		Messages int64 `json:"messages" doc:"How many messages were unread until now."`
	}
	handle(a, h, huma.Operation{
		OperationID: "read-chat", Method: http.MethodPost, Path: "/api/v1/chats/{chat}/read", Summary: "Mark messages as read",
	}, func(ctx context.Context, in *markRead) (marked, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return marked{}, err
		}
		n, err := a.Desk.MarkRead(ctx, tenant, in.Chat, in.Body.Seq)
		return marked{Messages: n}, err
	})
}
