package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// DeliveryRef names a delivery. It is exported because huma skips embedded
// fields that are not.
type DeliveryRef struct {
	ForTenant
	Delivery int64 `path:"delivery" minimum:"1" doc:"The delivery's id."`
}

func (a *api) deliveries(h huma.API) {
	type listDeliveries struct {
		ForTenant
		Waiting bool                `query:"waiting" doc:"What waits to be sent or is under way, instead of what is in trouble."`
		State   inbox.DeliveryState `query:"state" enum:"queued,sending,uncertain,failed" doc:"Only those in that state."`
		Before  int64               `query:"before" minimum:"1" doc:"Only ids below this one."`
		Limit   int                 `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many."`
	}
	handle(a, h, huma.Operation{
		OperationID: "list-deliveries", Method: http.MethodGet, Path: "/api/v1/deliveries",
		Summary: "List failed and uncertain deliveries, the newest first",
	}, func(ctx context.Context, in *listDeliveries) (List[inbox.DeliveryItem], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[inbox.DeliveryItem]{}, err
		}
		ds, err := a.Desk.Deliveries(ctx, tenant, store.DeliveryPage{Waiting: in.Waiting, State: in.State, Before: in.Before, Limit: in.Limit})
		return list(ds, ""), err
	})
	for _, op := range []struct {
		verb, summary, description string
		do                         func(context.Context, events.TenantID, int64) (inbox.Message, error)
	}{
		{
			"cancel", "Take back a message that was not sent yet", "Of one that was sent in part, the rest is taken back.",
			func(ctx context.Context, t events.TenantID, id int64) (inbox.Message, error) {
				return a.Desk.DeliveryCancel(ctx, t, id)
			},
		},
		{
			"retry", "Send an uncertain message again", "Nobody knows whether it arrived, so it may arrive twice.",
			func(ctx context.Context, t events.TenantID, id int64) (inbox.Message, error) {
				return a.Desk.DeliveryRetry(ctx, t, id)
			},
		},
	} {
		handle(a, h, huma.Operation{
			OperationID: op.verb + "-delivery", Method: http.MethodPost, Path: "/api/v1/deliveries/{delivery}/" + op.verb,
			Summary: op.summary, Description: op.description,
		}, func(ctx context.Context, in *DeliveryRef) (inbox.Message, error) {
			tenant, err := a.tenant(ctx, in.ForTenant)
			if err != nil {
				return inbox.Message{}, err
			}
			return op.do(ctx, tenant, in.Delivery)
		})
	}
	type settle struct {
		DeliveryRef
		Body struct {
			As inbox.DeliveryState `json:"as" enum:"sent,failed" doc:"Whether it did arrive."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "settle-delivery", Method: http.MethodPost, Path: "/api/v1/deliveries/{delivery}/settle",
		Summary: "Say what became of an uncertain message", Description: "Parts that follow one that arrived are sent.",
	}, func(ctx context.Context, in *settle) (inbox.Message, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Message{}, err
		}
		return a.Desk.DeliverySettle(ctx, tenant, in.Delivery, in.Body.As)
	})
}
