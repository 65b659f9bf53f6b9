package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
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
		Limit     int              `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many."`
		Cursor    string           `query:"cursor" doc:"The next of an earlier page."`
		Status    inbox.ChatStatus `query:"status" enum:"open,snoozed,closed" doc:"Only chats of this status; all when absent."`
		Unread    bool             `query:"unread" doc:"Only chats with unread messages."`
		Assignee  string           `query:"assignee" maxLength:"20" doc:"Only the chats of a user, by id; me for one's own, none for those that are neither a user's nor a team's."`
		Team      int64            `query:"team" minimum:"1" doc:"Only the chats of this team."`
		Label     int64            `query:"label" minimum:"1" doc:"Only chats with this label."`
		Transport events.Transport `query:"transport" maxLength:"50" doc:"Only chats whose client has written by it: telegram, whatsapp, sms, email."`
	}
	handle(a, h, huma.Operation{
		OperationID: "list-chats", Method: http.MethodGet, Path: "/api/v1/chats", Summary: "List chats, the last active first",
		Description: "Without routes. All that is asked for must hold. A chat's unread count stops at 100.",
	}, func(ctx context.Context, in *listChats) (List[inbox.Chat], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[inbox.Chat]{}, err
		}
		filter := store.ChatFilter{
			Status: in.Status, Unread: in.Unread, Team: in.Team, Label: in.Label, Transport: in.Transport,
		}
		switch in.Assignee {
		case "":
		case "none":
			filter.Unassigned = true
		case "me":
			if filter.Assignee, err = a.user(ctx, tenant); err != nil {
				return List[inbox.Chat]{}, err
			}
		default:
			if filter.Assignee, err = strconv.ParseInt(in.Assignee, 10, 32); err != nil || filter.Assignee < 1 {
				return List[inbox.Chat]{}, &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("%q is no user.", in.Assignee), Hint: "Give a user's id, me or none."}
			}
		}
		cs, next, err := a.Desk.Chats(ctx, tenant, store.ChatPage{Cursor: in.Cursor, Limit: in.Limit, ChatFilter: filter})
		return list(cs, next), err
	})
	handle(a, h, huma.Operation{
		OperationID: "count-chats", Method: http.MethodGet, Path: "/api/v1/chats/counts", Summary: "Count the chats of each list, and the unread ones",
		Description: "Counting stops at 100, which means that many or more. All but snoozed and closed count open chats; mine and the teams are those of who asks.",
	}, func(ctx context.Context, in *ForTenant) (inbox.ChatCounts, error) {
		tenant, err := a.tenant(ctx, *in)
		if err != nil {
			return inbox.ChatCounts{}, err
		}
		user, err := a.user(ctx, tenant)
		if err != nil {
			return inbox.ChatCounts{}, err
		}
		return a.Desk.Store.ChatCounts(ctx, tenant, user)
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
		OperationID: "read-chat", Method: http.MethodPost, Path: "/api/v1/chats/{chat}/read", Summary: "Mark messages as read, up to one",
	}, func(ctx context.Context, in *markRead) (marked, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return marked{}, err
		}
		n, err := a.Desk.MarkRead(ctx, tenant, in.Chat, in.Body.Seq)
		return marked{Messages: n}, err
	})
	type markUnread struct {
		ChatRef
		Body struct {
			Seq int64 `json:"seq" minimum:"1" doc:"From this message of the client's on."`
		}
	}
	type unmarked struct {
		Messages int64 `json:"messages" doc:"How many messages were read until now."`
	}
	handle(a, h, huma.Operation{
		OperationID: "unread-chat", Method: http.MethodPost, Path: "/api/v1/chats/{chat}/unread", Summary: "Mark messages as unread, from one on",
	}, func(ctx context.Context, in *markUnread) (unmarked, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return unmarked{}, err
		}
		n, err := a.Desk.Store.MarkUnread(ctx, tenant, in.Chat, in.Body.Seq)
		return unmarked{Messages: n}, err
	})
}

// user is the user who asks: the token's or session's, on the socket the tenant's
// operator.
func (a *api) user(ctx context.Context, tenant events.TenantID) (int64, error) {
	if p := access.From(ctx); p.User != 0 {
		return p.User, nil
	}
	operator, err := a.Desk.Store.EnsureOperator(ctx, tenant)
	return operator.ID, err
}
