package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
)

func (a *api) hours(h huma.API) {
	handle(a, h, huma.Operation{
		OperationID: "list-hours", Method: http.MethodGet, Path: "/api/v1/hours", Summary: "List opening hours and automatic replies",
	}, func(ctx context.Context, in *ForTenant) (List[inbox.Hours], error) {
		tenant, err := a.tenant(ctx, *in)
		if err != nil {
			return List[inbox.Hours]{}, err
		}
		all, err := a.Desk.Store.Hours(ctx, tenant)
		return list(all, ""), err
	})
	type setHours struct {
		ForTenant
		ForVersion
		Body inbox.Hours
	}
	handle(a, h, huma.Operation{
		OperationID: "set-hours", Method: http.MethodPut, Path: "/api/v1/hours", Summary: "Set opening hours and automatic replies",
		Description: "Of one channel, or of all that have none of their own. Nobody is answered automatically more than once a day, and never " +
			"who is blocked or opted out, nor what another program wrote (RFC 3834).",
	}, func(ctx context.Context, in *setHours) (inbox.Hours, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Hours{}, err
		}
		version, err := in.version()
		if err != nil {
			return inbox.Hours{}, err
		}
		return a.Desk.Store.SetHours(ctx, tenant, version, in.Body)
	})
}
