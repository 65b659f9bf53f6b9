package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

// Quarantine keeps what could not be stored. Who asks reaches what is in their
// scope.
type Quarantine interface {
	QuarantineList(ctx context.Context, scope store.QuarantineScope, p store.QuarantinePage) ([]store.QuarantinedEvent, error)
	Quarantined(ctx context.Context, scope store.QuarantineScope, id int64) (store.QuarantinedEvent, error)
	// Replay stores what the event contains now.
	Replay(ctx context.Context, scope store.QuarantineScope, id int64) (store.BatchResult, error)
	// Preview says what Replay would do, and does nothing.
	Preview(ctx context.Context, scope store.QuarantineScope, id int64) (store.ReplayPreview, error)
}

// quarantineScope is the tenant's of who asks. The operator who names none reaches
// all: an event may be there because its tenant cannot be read.
func (a *api) quarantineScope(ctx context.Context, in ForTenant) (store.QuarantineScope, error) {
	if access.From(ctx).Kind == inbox.Operator && in.Tenant == "" {
		return store.QuarantineScope{Whole: true}, nil
	}
	tenant, err := a.tenant(ctx, in)
	if err != nil {
		return store.QuarantineScope{}, err
	}
	return store.QuarantineScope{Tenant: tenant}, nil
}

// QuarantineRecord is one of them with the record as it came.
type QuarantineRecord struct {
	store.QuarantinedEvent
	// Event is the record where it is JSON, Text where it is not.
	Event json.RawMessage `json:"event,omitempty" doc:"The record as it came, where it is JSON."`
	Text  string          `json:"text,omitempty" doc:"The record as it came, where it is not JSON."`
}

// Replayed is what a replay came to.
type Replayed struct {
	Outcomes   []store.Outcome `json:"outcomes" nullable:"false" doc:"What became of each event in the record."`
	NewClients int             `json:"new_clients"`
}

type quarantineRef struct {
	ForTenant
	ID int64 `path:"event" minimum:"1" doc:"The event's number in quarantine."`
}

func (a *api) quarantined(h huma.API) {
	type listQuarantine struct {
		ForTenant
		All    bool  `query:"all" doc:"Also what was replayed."`
		Before int64 `query:"before" minimum:"1" doc:"Only ids below this one."`
		Limit  int   `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many."`
	}
	handle(a, h, huma.Operation{
		OperationID: "list-quarantine", Method: http.MethodGet, Path: "/api/v1/quarantine",
		Summary: "List events that could not be stored, the newest first", Description: "Those that came by the tenant's channels; of the operator who names no tenant, all.",
	}, func(ctx context.Context, in *listQuarantine) (List[store.QuarantinedEvent], error) {
		scope, err := a.quarantineScope(ctx, in.ForTenant)
		if err != nil {
			return List[store.QuarantinedEvent]{}, err
		}
		qs, err := a.Quarantine.QuarantineList(ctx, scope, store.QuarantinePage{All: in.All, Before: in.Before, Limit: in.Limit})
		return list(qs, ""), err
	})
	handle(a, h, huma.Operation{
		OperationID: "show-quarantine", Method: http.MethodGet, Path: "/api/v1/quarantine/{event}",
		Summary: "Show one of them with the record as it came",
	}, func(ctx context.Context, in *quarantineRef) (QuarantineRecord, error) {
		scope, err := a.quarantineScope(ctx, in.ForTenant)
		if err != nil {
			return QuarantineRecord{}, err
		}
		q, err := a.Quarantine.Quarantined(ctx, scope, in.ID)
		out := QuarantineRecord{QuarantinedEvent: q}
		if json.Valid(q.Event) {
			out.Event = q.Event
		} else {
			out.Text = string(q.Event)
		}
		return out, err
	})
	handle(a, h, huma.Operation{
		OperationID: "preview-quarantine", Method: http.MethodGet, Path: "/api/v1/quarantine/{event}/preview",
		Summary: "Say what trying again would change", Description: "Whose message it would be, and in which chat. Nothing is stored.",
	}, func(ctx context.Context, in *quarantineRef) (store.ReplayPreview, error) {
		scope, err := a.quarantineScope(ctx, in.ForTenant)
		if err != nil {
			return store.ReplayPreview{}, err
		}
		return a.Quarantine.Preview(ctx, scope, in.ID)
	})
	handle(a, h, huma.Operation{
		OperationID: "replay-quarantine", Method: http.MethodPost, Path: "/api/v1/quarantine/{event}/replay",
		Summary: "Try again to store one of them", Description: "It may be repeated; a second time finds duplicates.",
	}, func(ctx context.Context, in *quarantineRef) (Replayed, error) {
		scope, err := a.quarantineScope(ctx, in.ForTenant)
		if err != nil {
			return Replayed{}, err
		}
		res, err := a.Quarantine.Replay(ctx, scope, in.ID)
		if res.Outcomes == nil {
			res.Outcomes = []store.Outcome{}
		}
		return Replayed{Outcomes: res.Outcomes, NewClients: res.NewClients}, err
	})
}
