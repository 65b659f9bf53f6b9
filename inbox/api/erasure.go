package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
)

func (a *api) erasures(h huma.API) {
	handle(a, h, huma.Operation{
		OperationID: "erase-client", Method: http.MethodPost, Path: "/api/v1/clients/{client}/erase",
		Summary: "Remove a client and everything of theirs for good",
		Description: "Messages, files, facts on the bus and the provider's payloads. Keyed hashes stay, so that neither the provider nor a backup brings it back. " +
			"What the person writes later makes a new client. It cannot be taken back: export the client first if you may have to.",
	}, func(ctx context.Context, in *ClientRef) (inbox.Erasure, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Erasure{}, err
		}
		return a.Desk.Erase(ctx, tenant, access.From(ctx).Actor, in.Client)
	})
	type listErasures struct {
		ForTenant
		Paged
	}
	handle(a, h, huma.Operation{
		OperationID: "list-erasures", Method: http.MethodGet, Path: "/api/v1/erasures",
		Summary: "List erasures, the newest first", Description: "They say that somebody was erased, not who.",
	}, func(ctx context.Context, in *listErasures) (List[inbox.Erasure], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[inbox.Erasure]{}, err
		}
		var before time.Time
		if in.Cursor != "" {
			if before, err = time.Parse(time.RFC3339Nano, in.Cursor); err != nil {
				return List[inbox.Erasure]{}, &inbox.Error{Code: inbox.Invalid, Message: "The cursor is not one of ours.", Hint: "Use the next of the page before, or none for the first."}
			}
		}
		es, err := a.Desk.Store.Erasures(ctx, tenant, before, in.Limit+1)
		return page(es, in.Limit, func(e inbox.Erasure) string { return e.At.Format(time.RFC3339Nano) }), err
	})
}
