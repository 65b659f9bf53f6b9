package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
)

func (a *api) labels(h huma.API) {
	type labelRef struct {
		ForTenant
		Label int64 `path:"label" minimum:"1" doc:"The label's id."`
	}
	handle(a, h, huma.Operation{
		OperationID: "list-labels", Method: http.MethodGet, Path: "/api/v1/labels", Summary: "List labels by name", Description: "All of them, at most 500.",
	}, func(ctx context.Context, in *ForTenant) (List[inbox.Label], error) {
		tenant, err := a.tenant(ctx, *in)
		if err != nil {
			return List[inbox.Label]{}, err
		}
		ls, err := a.Desk.Store.Labels(ctx, tenant)
		return list(ls, ""), err
	})
	type addLabel struct {
		ForTenant
		ForKey
		Body struct {
			Name   string `json:"name" minLength:"1" maxLength:"100"`
			Colour string `json:"colour,omitempty" pattern:"^#[0-9A-Fa-f]{6}$" example:"#cc0000" doc:"Grey when absent."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "add-label", Method: http.MethodPost, Path: "/api/v1/labels", Summary: "Add a label", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *addLabel) (inbox.Label, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Label{}, err
		}
		return a.Desk.Store.AddLabel(ctx, tenant, access.From(ctx).Actor, in.Body.Name, in.Body.Colour, in.Key)
	})
	type changeLabel struct {
		ForTenant
		ForVersion
		Label int64 `path:"label" minimum:"1" doc:"The label's id."`
		Body  struct {
			Name   *string `json:"name,omitempty" minLength:"1" maxLength:"100"`
			Colour *string `json:"colour,omitempty" pattern:"^#[0-9A-Fa-f]{6}$" example:"#cc0000"`
		}
	}
	handleTagged(a, h, huma.Operation{
		OperationID: "change-label", Method: http.MethodPatch, Path: "/api/v1/labels/{label}", Summary: "Rename a label or change its colour",
	}, func(l inbox.Label) int64 { return l.Version }, func(ctx context.Context, in *changeLabel) (inbox.Label, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Label{}, err
		}
		v, err := in.needed()
		if err != nil {
			return inbox.Label{}, err
		}
		return a.Desk.Store.ChangeLabel(ctx, tenant, access.From(ctx).Actor, in.Label, in.Body.Name, in.Body.Colour, v)
	})
	handle(a, h, huma.Operation{
		OperationID: "delete-label", Method: http.MethodDelete, Path: "/api/v1/labels/{label}", Summary: "Delete a label, on all chats too", DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, in *labelRef) (nothing, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return nothing{}, err
		}
		return nothing{}, a.Desk.Store.DeleteLabel(ctx, tenant, access.From(ctx).Actor, in.Label)
	})
}
