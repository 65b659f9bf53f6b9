package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

func (a *api) teams(h huma.API) {
	type teamRef struct {
		ForTenant
		Team int64 `path:"team" minimum:"1" doc:"The team's id."`
	}
	handle(a, h, huma.Operation{
		OperationID: "list-teams", Method: http.MethodGet, Path: "/api/v1/teams", Summary: "List teams by name", Description: "All of them, at most 200.",
	}, func(ctx context.Context, in *ForTenant) (List[inbox.Team], error) {
		tenant, err := a.tenant(ctx, *in)
		if err != nil {
			return List[inbox.Team]{}, err
		}
		ts, err := a.Desk.Store.Teams(ctx, tenant)
		return list(ts, ""), err
	})
	type addTeam struct {
		ForTenant
		ForKey
		Body struct {
			Name    string  `json:"name" minLength:"1" maxLength:"100"`
			Members []int64 `json:"members,omitempty" maxItems:"500" doc:"Ids of users."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "add-team", Method: http.MethodPost, Path: "/api/v1/teams", Summary: "Add a team", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *addTeam) (inbox.Team, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Team{}, err
		}
		return a.Desk.Store.AddTeam(ctx, tenant, access.From(ctx).Actor, in.Body.Name, in.Body.Members, in.Key)
	})
	type changeTeam struct {
		ForTenant
		ForVersion
		Team int64 `path:"team" minimum:"1" doc:"The team's id."`
		Body struct {
			Name    *string  `json:"name,omitempty" minLength:"1" maxLength:"100"`
			Members *[]int64 `json:"members,omitempty" maxItems:"500" doc:"Ids of all users that are in it from now on."`
		}
	}
	handleTagged(a, h, huma.Operation{
		OperationID: "change-team", Method: http.MethodPatch, Path: "/api/v1/teams/{team}", Summary: "Rename a team or change who is in it",
	}, func(t inbox.Team) int64 { return t.Version }, func(ctx context.Context, in *changeTeam) (inbox.Team, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Team{}, err
		}
		v, err := in.needed()
		if err != nil {
			return inbox.Team{}, err
		}
		return a.Desk.Store.ChangeTeam(ctx, tenant, access.From(ctx).Actor, in.Team, store.TeamChange{Name: in.Body.Name, Members: in.Body.Members, IfVersion: v})
	})
	handle(a, h, huma.Operation{
		OperationID: "delete-team", Method: http.MethodDelete, Path: "/api/v1/teams/{team}", Summary: "Delete a team",
		Description: "Its chats stay with their users, or are nobody's.", DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, in *teamRef) (nothing, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return nothing{}, err
		}
		return nothing{}, a.Desk.Store.DeleteTeam(ctx, tenant, access.From(ctx).Actor, in.Team)
	})
}
