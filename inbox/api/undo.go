package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/store"
)

// undoFor is how long a reply can be undone as a request says it, nil when it
// does not.
func undoFor(seconds *int) *time.Duration {
	if seconds == nil {
		return nil
	}
	return new(time.Duration(*seconds) * time.Second)
}

func (a *api) undos(h huma.API) {
	handle(a, h, huma.Operation{
		OperationID: "undo", Method: http.MethodPost, Path: "/api/v1/messages/{message}/undo", Summary: "Take back a reply that has not left",
		Description: "Either it wins, and nothing of the message is ever sent, or the answer is 409 with the code conflict because the message " +
			"has left already; data says its state. Undoing twice is undoing once.",
	}, func(ctx context.Context, in *MessageRef) (inbox.Message, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Message{}, err
		}
		return a.Desk.Store.Undo(ctx, tenant, in.Message)
	})
	handle(a, h, huma.Operation{
		OperationID: "get-desk-settings", Method: http.MethodGet, Path: "/api/v1/desk-settings", Summary: "Read how the tenant's agents write",
	}, func(ctx context.Context, in *ForTenant) (store.DeskSettings, error) {
		tenant, err := a.tenant(ctx, *in)
		if err != nil {
			return store.DeskSettings{}, err
		}
		return a.Desk.Store.DeskSettings(ctx, tenant)
	})
	type setDeskSettings struct {
		ForTenant
		Body store.DeskSettings
	}
	handle(a, h, huma.Operation{
		OperationID: "set-desk-settings", Method: http.MethodPut, Path: "/api/v1/desk-settings", Summary: "Say how the tenant's agents write",
	}, func(ctx context.Context, in *setDeskSettings) (store.DeskSettings, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return store.DeskSettings{}, err
		}
		return in.Body, a.Desk.Store.SetDeskSettings(ctx, tenant, in.Body)
	})
}
