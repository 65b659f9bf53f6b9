package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/store"
)

func (a *api) searches(h huma.API) {
	type search struct {
		ForTenant
		Words  string `query:"q" required:"true" minLength:"1" maxLength:"200" doc:"What to look for."`
		Cursor string `query:"cursor" maxLength:"100" doc:"The next of the page before; none for the first."`
		Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"How many."`
	}
	handle(a, h, huma.Operation{
		OperationID: "search-messages", Method: http.MethodGet, Path: "/api/v1/search/messages", Summary: "Search messages",
		Description: "Whole words in any case: all are wanted, \"quoted\" ones as a phrase, -word not, with or between alternatives. The newest " +
			"300 matches come first, the best of them at the top, then the next 300. What was written within the last seconds may be missing.",
	}, func(ctx context.Context, in *search) (List[store.FoundMessage], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[store.FoundMessage]{}, err
		}
		found, next, err := a.Desk.Store.SearchMessages(ctx, tenant, store.Search{Words: in.Words, Cursor: in.Cursor, Limit: in.Limit})
		return list(found, next), err
	})
	handle(a, h, huma.Operation{
		OperationID: "search-clients", Method: http.MethodGet, Path: "/api/v1/search/clients", Summary: "Search clients",
		Description: "By parts of names, numbers and addresses; each word given must occur. Words of one or two letters are beginnings.",
	}, func(ctx context.Context, in *search) (List[store.FoundClient], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[store.FoundClient]{}, err
		}
		found, next, err := a.Desk.Store.SearchClients(ctx, tenant, store.Search{Words: in.Words, Cursor: in.Cursor, Limit: in.Limit})
		return list(found, next), err
	})
}
