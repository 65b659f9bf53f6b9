package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
)

// MadeWebhook is a webhook with its secret, which is shown this once.
type MadeWebhook struct {
	store.Webhook
	Secret string `json:"secret,omitempty" doc:"What the signatures are checked with (Standard Webhooks). It is shown once: absent when the Idempotency-Key added the webhook before."`
}

// WebhookRef names a webhook.
type WebhookRef struct {
	ForTenant
	Webhook string `path:"webhook" maxLength:"36" doc:"The webhook's id."`
}

func (a *api) webhooks(h huma.API) {
	type listWebhooks struct {
		ForTenant
		Paged
	}
	handle(a, h, huma.Operation{
		OperationID: "list-webhooks", Method: http.MethodGet, Path: "/api/v1/webhooks", Summary: "List webhooks",
	}, func(ctx context.Context, in *listWebhooks) (List[store.Webhook], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[store.Webhook]{}, err
		}
		after, err := identified(in.Cursor)
		if err != nil {
			return List[store.Webhook]{}, err
		}
		ws, err := a.Desk.Store.Webhooks(ctx, tenant, after, in.Limit+1)
		return page(ws, in.Limit, func(w store.Webhook) string { return w.ID }), err
	})
	type addWebhook struct {
		ForTenant
		ForKey
		Body struct {
			URL         string   `json:"url" maxLength:"2000" doc:"Where to post, such as https://example.com/parley."`
			Types       []string `json:"types,omitempty" maxItems:"50" doc:"Of facts, such as message.received; none are all."`
			Description string   `json:"description,omitempty" maxLength:"500" doc:"What it is for."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "add-webhook", Method: http.MethodPost, Path: "/api/v1/webhooks", Summary: "Tell another system what happens",
		Description: "From now on each fact is posted as a CloudEvent, signed by the Standard Webhooks scheme, and tried again for three days " +
			"until it is answered with 2xx. A repeated post bears the same webhook-id. Order is not kept. Redirects are not followed, and " +
			"addresses that are not public are refused. A delivery that was refused for three days while nothing else was accepted for two, or 410, disables the webhook.",
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *addWebhook) (MadeWebhook, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return MadeWebhook{}, err
		}
		w, secret, err := a.Desk.AddWebhook(ctx, tenant, access.From(ctx).Actor, desk.NewWebhook{
			URL: in.Body.URL, Types: in.Body.Types, Description: in.Body.Description, Key: in.Key,
		})
		return MadeWebhook{Webhook: w, Secret: secret}, err
	})
	type changeWebhook struct {
		WebhookRef
		ForVersion
		Body struct {
			URL         *string   `json:"url,omitempty" maxLength:"2000" doc:"Where to post."`
			Types       *[]string `json:"types,omitempty" maxItems:"50" doc:"Of facts; none are all."`
			Description *string   `json:"description,omitempty" maxLength:"500" doc:"What it is for."`
			Enabled     *bool     `json:"enabled,omitempty" doc:"Whether it is told anything. What happened while it was disabled is not told."`
		}
	}
	handleTagged(a, h, huma.Operation{
		OperationID: "change-webhook", Method: http.MethodPatch, Path: "/api/v1/webhooks/{webhook}", Summary: "Change, disable or enable a webhook",
	}, func(w store.Webhook) int64 { return w.Version }, func(ctx context.Context, in *changeWebhook) (store.Webhook, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return store.Webhook{}, err
		}
		v, err := in.needed()
		if err != nil {
			return store.Webhook{}, err
		}
		return a.Desk.ChangeWebhook(ctx, tenant, access.From(ctx).Actor, in.Webhook, store.WebhookChange{
			URL: in.Body.URL, Description: in.Body.Description, Types: in.Body.Types, Enabled: in.Body.Enabled, IfVersion: v,
		})
	})
	handle(a, h, huma.Operation{
		OperationID: "delete-webhook", Method: http.MethodDelete, Path: "/api/v1/webhooks/{webhook}", Summary: "Delete a webhook and its log",
		DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, in *WebhookRef) (nothing, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return nothing{}, err
		}
		return nothing{}, a.Desk.Store.DeleteWebhook(ctx, tenant, access.From(ctx).Actor, in.Webhook)
	})
	type rotateWebhook struct {
		WebhookRef
		Key string `header:"Idempotency-Key" maxLength:"255" doc:"The key of the last rotation answers with what that one made, and rotates nothing."`
	}
	handle(a, h, huma.Operation{
		OperationID: "rotate-webhook", Method: http.MethodPost, Path: "/api/v1/webhooks/{webhook}/rotate", Summary: "Give a webhook another secret",
		Description: "For 24 hours requests bear two signatures, by the new secret and by the one before.",
	}, func(ctx context.Context, in *rotateWebhook) (MadeWebhook, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return MadeWebhook{}, err
		}
		w, secret, err := a.Desk.RotateWebhook(ctx, tenant, access.From(ctx).Actor, in.Webhook, in.Key)
		return MadeWebhook{Webhook: w, Secret: secret}, err
	})
	handle(a, h, huma.Operation{
		OperationID: "test-webhook", Method: http.MethodPost, Path: "/api/v1/webhooks/{webhook}/test", Summary: "Send a webhook the fact webhook.test",
		DefaultStatus: http.StatusAccepted,
	}, func(ctx context.Context, in *WebhookRef) (nothing, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return nothing{}, err
		}
		return nothing{}, a.Desk.TestWebhook(ctx, tenant, access.From(ctx).Actor, in.Webhook)
	})
	a.webhookLog(h)
}

func (a *api) webhookLog(h huma.API) {
	type listCalls struct {
		WebhookRef
		Paged
		State string `query:"state" enum:"queued,sent,failed" doc:"Only those."`
	}
	handle(a, h, huma.Operation{
		OperationID: "list-webhook-deliveries", Method: http.MethodGet, Path: "/api/v1/webhooks/{webhook}/deliveries",
		Summary: "What a webhook was told, and each try", Description: "The newest first, for two weeks.",
	}, func(ctx context.Context, in *listCalls) (List[store.WebhookDelivery], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[store.WebhookDelivery]{}, err
		}
		before, err := numbered(in.Cursor)
		if err != nil {
			return List[store.WebhookDelivery]{}, err
		}
		ds, err := a.Desk.Store.WebhookDeliveries(ctx, tenant, in.Webhook, in.State, before, in.Limit+1)
		return page(ds, in.Limit, func(d store.WebhookDelivery) string { return strconv.FormatInt(d.ID, 10) }), err
	})
	type replayWebhook struct {
		WebhookRef
		Body struct {
			Delivery int64     `json:"delivery,omitempty" minimum:"1" doc:"The delivery to send again, whatever became of it."`
			Since    time.Time `json:"since,omitempty" doc:"Without a delivery: all since then that failed."`
		}
	}
	type toldAgain struct {
		Deliveries int64 `json:"deliveries" doc:"How many are sent again."`
	}
	handle(a, h, huma.Operation{
		OperationID: "replay-webhook", Method: http.MethodPost, Path: "/api/v1/webhooks/{webhook}/replay", Summary: "Tell a webhook again",
	}, func(ctx context.Context, in *replayWebhook) (toldAgain, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return toldAgain{}, err
		}
		if in.Body.Delivery == 0 && in.Body.Since.IsZero() {
			return toldAgain{}, &inbox.Error{Code: inbox.Invalid, Message: "It is not said what to send again.", Hint: "Give a delivery, or since."}
		}
		n, err := a.Desk.Store.ReplayWebhook(ctx, tenant, access.From(ctx).Actor, in.Webhook, in.Body.Delivery, in.Body.Since)
		return toldAgain{Deliveries: n}, err
	})
}
