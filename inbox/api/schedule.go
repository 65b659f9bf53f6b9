package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/store"
)

// ScheduledRef names a scheduled reply.
type ScheduledRef struct {
	ForTenant
	Scheduled int64 `path:"scheduled" minimum:"1" doc:"The scheduled reply's id."`
}

func (a *api) schedules(h huma.API) {
	type schedule struct {
		ChatRef
		ForKey
		Body struct {
			ReplyBody
			SendAt         time.Time `json:"send_at" doc:"When to send it."`
			UnlessAnswered bool      `json:"unless_answered,omitempty" doc:"Not when the client writes before."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "schedule-reply", Method: http.MethodPost, Path: "/api/v1/chats/{chat}/scheduled", Summary: "Reply later",
		Description: "Keeps the reply until it is due; then it becomes a message of the chat and is sent behind what was written to the " +
			"client before. What may not be sent any more by then is refused, and its words say why.",
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *schedule) (inbox.Scheduled, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Scheduled{}, err
		}
		return a.Desk.Schedule(ctx, in.Body.reply(ctx, tenant, in.Chat, in.Key), in.Body.SendAt, in.Body.UnlessAnswered)
	})
	type listScheduled struct {
		ForTenant
		Paged
		Chat int64 `query:"chat" minimum:"1" doc:"Only this chat's."`
		All  bool  `query:"all" doc:"Also what was sent, cancelled or refused."`
	}
	handle(a, h, huma.Operation{
		OperationID: "list-scheduled", Method: http.MethodGet, Path: "/api/v1/scheduled", Summary: "List scheduled replies",
	}, func(ctx context.Context, in *listScheduled) (List[inbox.Scheduled], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[inbox.Scheduled]{}, err
		}
		after, err := numbered(in.Cursor)
		if err != nil {
			return List[inbox.Scheduled]{}, err
		}
		ss, err := a.Desk.Store.Scheduled(ctx, tenant, store.ScheduledPage{Chat: in.Chat, All: in.All, After: after, Limit: in.Limit + 1})
		return page(ss, in.Limit, func(s inbox.Scheduled) string { return strconv.FormatInt(s.ID, 10) }), err
	})
	handle(a, h, huma.Operation{
		OperationID: "get-scheduled", Method: http.MethodGet, Path: "/api/v1/scheduled/{scheduled}", Summary: "Read a scheduled reply",
	}, func(ctx context.Context, in *ScheduledRef) (inbox.Scheduled, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Scheduled{}, err
		}
		return a.Desk.Store.OneScheduled(ctx, tenant, in.Scheduled)
	})
	type reschedule struct {
		ScheduledRef
		ForVersion
		Body struct {
			SendAt *time.Time `json:"send_at,omitempty" doc:"When to send it instead."`
			Text   *string    `json:"text,omitempty" minLength:"1" doc:"What to say instead."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "reschedule", Method: http.MethodPatch, Path: "/api/v1/scheduled/{scheduled}", Summary: "Change a scheduled reply",
		Description: "Once it has left the answer is 409 with the code conflict.",
	}, func(ctx context.Context, in *reschedule) (inbox.Scheduled, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Scheduled{}, err
		}
		version, err := in.version()
		if err != nil {
			return inbox.Scheduled{}, err
		}
		return a.Desk.Store.Reschedule(ctx, tenant, in.Scheduled, version, store.ScheduledChange{DueAt: in.Body.SendAt, Text: in.Body.Text})
	})
	handle(a, h, huma.Operation{
		OperationID: "cancel-scheduled", Method: http.MethodPost, Path: "/api/v1/scheduled/{scheduled}/cancel", Summary: "Take back a scheduled reply",
		Description: "Either it wins, and nothing of it is ever sent, or the answer is 409 with the code conflict because it has left; data is what " +
			"it became. Cancelling twice is cancelling once.",
	}, func(ctx context.Context, in *ScheduledRef) (inbox.Scheduled, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Scheduled{}, err
		}
		return a.Desk.Store.CancelScheduled(ctx, tenant, in.Scheduled)
	})
}
