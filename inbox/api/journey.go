package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
)

func (a *api) journeys(h huma.API) {
	handle(a, h, huma.Operation{
		OperationID: "show-journey", Method: http.MethodGet, Path: "/api/v1/messages/{message}/journey", Summary: "Say what happened to a message",
		Description: "What happened when, by rising time: accepted, stored in which chat and why, attempts with what the provider answered, statuses, " +
			"edits, and what others were told. The ids are those in the logs. What is no longer kept is said in missing.",
	}, func(ctx context.Context, in *MessageRef) (inbox.Journey, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Journey{}, err
		}
		return a.Desk.Journey(ctx, tenant, in.Message)
	})
}
