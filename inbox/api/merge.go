package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
)

func (a *api) merges(h huma.API) {
	type merge struct {
		ClientRef
		Body struct {
			From int64 `json:"from" minimum:"1" doc:"The client that becomes part of the one in the path."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "merge-clients", Method: http.MethodPost, Path: "/api/v1/clients/{client}/merge",
		Summary: "Make another client part of this one",
		Description: "Its messages move into this client's chat, in the order in which they were accepted; what it writes later comes here as well. " +
			"Doing it again changes nothing, and unmerge takes it back.",
	}, func(ctx context.Context, in *merge) (inbox.Merge, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Merge{}, err
		}
		return a.Desk.Store.MergeClients(ctx, tenant, access.From(ctx).Actor, in.Client, in.Body.From)
	})
	handle(a, h, huma.Operation{
		OperationID: "unmerge-client", Method: http.MethodPost, Path: "/api/v1/clients/{client}/unmerge",
		Summary:     "Take back that this client was merged into another",
		Description: "What moved moves back, and with it what this client wrote since and what was sent to them.",
	}, func(ctx context.Context, in *ClientRef) (inbox.Merge, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Merge{}, err
		}
		return a.Desk.Store.UnmergeClients(ctx, tenant, access.From(ctx).Actor, in.Client)
	})
	handle(a, h, huma.Operation{
		OperationID: "list-merge-suggestions", Method: http.MethodGet, Path: "/api/v1/clients/{client}/merge-suggestions",
		Summary: "List who may be the same person, with the reasons", Description: "Nothing merges by itself.",
	}, func(ctx context.Context, in *ClientRef) (List[inbox.Suggestion], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[inbox.Suggestion]{}, err
		}
		found, err := a.Desk.Store.Suggestions(ctx, tenant, in.Client)
		return list(found, ""), err
	})
	type move struct {
		ClientRef
		Body struct {
			Contact int64 `json:"contact" minimum:"1" doc:"The contact's id."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "take-contact", Method: http.MethodPost, Path: "/api/v1/clients/{client}/take-contact",
		Summary:     "Move a contact of another client to this one",
		Description: "For a number that was noted with the wrong client. One that somebody wrote from is refused: merge the clients.",
	}, func(ctx context.Context, in *move) (struct{}, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, a.Desk.Store.MoveContact(ctx, tenant, access.From(ctx).Actor, in.Body.Contact, in.Client)
	})
}
