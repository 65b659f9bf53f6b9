package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

// chatWork is what agents do with a chat besides answering.
func (a *api) chatWork(h huma.API) {
	type setStatus struct {
		ChatRef
		Body struct {
			Status inbox.ChatStatus `json:"status" enum:"open,snoozed,closed"`
			Until  *time.Time       `json:"until,omitempty" doc:"When a snoozed chat opens by itself; for no other status."`
			Seen   int64            `json:"seen,omitempty" minimum:"0" doc:"Seq of the newest message that the agent saw; with it, a newer one of the client's is refused with 409 and the code stale."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "set-chat-status", Method: http.MethodPut, Path: "/api/v1/chats/{chat}/status", Summary: "Open, snooze or close a chat",
		Description: "The client's next message opens it again.",
	}, func(ctx context.Context, in *setStatus) (inbox.Chat, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Chat{}, err
		}
		s := store.SetStatus{Status: in.Body.Status, Seen: in.Body.Seen}
		if in.Body.Until != nil {
			s.Until = *in.Body.Until
		}
		return a.Desk.Store.SetChatStatus(ctx, tenant, access.From(ctx).Actor, in.Chat, s)
	})
	type assignChat struct {
		ChatRef
		Body struct {
			User int64 `json:"user,omitempty" minimum:"1" doc:"Whose it is to be, absent for nobody's."`
			Team int64 `json:"team,omitempty" minimum:"1" doc:"Which team's it is to be, absent for none's."`
			Free bool  `json:"free,omitempty" doc:"Refuse with 409 to take it from another user; data says from whom."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "assign-chat", Method: http.MethodPut, Path: "/api/v1/chats/{chat}/assignment", Summary: "Give a chat to a user, a team, both or nobody",
	}, func(ctx context.Context, in *assignChat) (inbox.Chat, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Chat{}, err
		}
		return a.Desk.Store.AssignChat(ctx, tenant, access.From(ctx).Actor, in.Chat, store.Assignment{
			User: in.Body.User, Team: in.Body.Team, Free: in.Body.Free,
		})
	})
	type labelChat struct {
		ChatRef
		Label int64 `path:"label" minimum:"1" doc:"The label's id."`
	}
	for _, op := range []struct {
		id, method, summary string
		on                  bool
	}{
		{"label-chat", http.MethodPut, "Put a label on a chat", true},
		{"unlabel-chat", http.MethodDelete, "Take a label off a chat", false},
	} {
		handle(a, h, huma.Operation{
			OperationID: op.id, Method: op.method, Path: "/api/v1/chats/{chat}/labels/{label}", Summary: op.summary, DefaultStatus: http.StatusOK,
		}, func(ctx context.Context, in *labelChat) (inbox.Chat, error) {
			tenant, err := a.tenant(ctx, in.ForTenant)
			if err != nil {
				return inbox.Chat{}, err
			}
			return a.Desk.Store.LabelChat(ctx, tenant, access.From(ctx).Actor, in.Chat, in.Label, op.on)
		})
	}
}
