package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/events"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
)

// TenantRef names a tenant in a path.
type TenantRef struct {
	Tenant string `path:"tenant" maxLength:"200" doc:"The tenant's id or name."`
}

// MadeTenant is a new tenant, and the way in.
type MadeTenant struct {
	store.Tenant
	Link string `json:"link,omitempty" doc:"Makes the first owner, once, within three days. It is shown this once."`
}

// tenants are the operator's: nobody else sees that there are others.
func (a *api) tenants(h huma.API) {
	version := func(t store.Tenant) int64 { return t.Version }
	find := func(ctx context.Context, in TenantRef) (events.TenantID, error) {
		t, err := a.Desk.Tenant(ctx, in.Tenant)
		return t.ID, err
	}
	handle(a, h, huma.Operation{
		OperationID: "list-tenants", Method: http.MethodGet, Path: "/api/v1/tenants",
		Summary: "List tenants, the oldest first",
	}, func(ctx context.Context, _ *struct{}) (List[store.Tenant], error) {
		ts, err := a.Desk.Store.Tenants(ctx)
		return list(ts, ""), err
	})
	type addTenant struct {
		ForKey
		Body struct {
			Name string `json:"name" minLength:"1" maxLength:"200" doc:"What people call it, and log in by."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "add-tenant", Method: http.MethodPost, Path: "/api/v1/tenants", Summary: "Add a tenant",
		Description: "The answer has the link that makes its first owner.", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *addTenant) (MadeTenant, error) {
		t, err := a.Desk.Store.AddTenant(ctx, access.From(ctx).Actor, in.Body.Name, in.Key)
		if err != nil {
			return MadeTenant{}, err
		}
		link, err := a.Guard.FirstOwner(ctx, t.ID, a.URL)
		return MadeTenant{Tenant: t, Link: link}, err
	})
	handleTagged(a, h, huma.Operation{
		OperationID: "get-tenant", Method: http.MethodGet, Path: "/api/v1/tenants/{tenant}", Summary: "Show a tenant",
	}, version, func(ctx context.Context, in *TenantRef) (store.Tenant, error) { return a.Desk.Tenant(ctx, in.Tenant) })
	type renameTenant struct {
		TenantRef
		ForVersion
		Body struct {
			Name string `json:"name" minLength:"1" maxLength:"200"`
		}
	}
	handleTagged(a, h, huma.Operation{
		OperationID: "rename-tenant", Method: http.MethodPatch, Path: "/api/v1/tenants/{tenant}", Summary: "Rename a tenant",
	}, version, func(ctx context.Context, in *renameTenant) (store.Tenant, error) {
		v, err := in.needed()
		if err != nil {
			return store.Tenant{}, err
		}
		id, err := find(ctx, in.TenantRef)
		if err != nil {
			return store.Tenant{}, err
		}
		return a.Desk.Store.RenameTenant(ctx, id, access.From(ctx).Actor, in.Body.Name, v)
	})
	for _, verb := range []struct {
		id, summary, words string
		suspended          bool
	}{
		{"suspend", "Keep everybody of a tenant out and pause its channels", "At once: sessions, tokens and open streams end to work, and nothing is accepted or sent. What it has stays.", true},
		{"resume", "Let a suspended tenant go on", "Sessions and tokens work again unless they expired; channels that were paused by hand stay so.", false},
	} {
		handleTagged(a, h, huma.Operation{
			OperationID: verb.id + "-tenant", Method: http.MethodPost, Path: "/api/v1/tenants/{tenant}/" + verb.id,
			Summary: verb.summary, Description: verb.words,
		}, version, func(ctx context.Context, in *TenantRef) (store.Tenant, error) {
			id, err := find(ctx, *in)
			if err != nil {
				return store.Tenant{}, err
			}
			return a.Desk.SuspendTenant(ctx, id, access.From(ctx).Actor, verb.suspended)
		})
	}
	type removeTenant struct {
		TenantRef
		Body struct {
			Name string `json:"name" maxLength:"200" doc:"Its name, typed again: nothing of it can be brought back."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "remove-tenant", Method: http.MethodPost, Path: "/api/v1/tenants/{tenant}/remove", Summary: "Remove a tenant and everything of it for good",
		Description: "Rows of every table, files, facts and the providers' payloads on the bus. A backup that is restored later is told at the next start.",
	}, func(ctx context.Context, in *removeTenant) (desk.RemovedTenant, error) {
		id, err := find(ctx, in.TenantRef)
		if err != nil {
			return desk.RemovedTenant{}, err
		}
		return a.Desk.RemoveTenant(ctx, id, access.From(ctx).Actor, in.Body.Name)
	})
}
