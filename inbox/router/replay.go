package router

import (
	"context"
	"fmt"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// Replay stores what a quarantined event contains now: parsed again from the
// provider's payload where there is one, else as it was accepted.
func (r *Router) Replay(ctx context.Context, scope store.QuarantineScope, id int64) (store.BatchResult, error) {
	return r.db.ReplayQuarantined(ctx, scope, id, func(data []byte) ([]events.Inbound, error) {
		return r.parseAgain(ctx, data)
	})
}

// Preview says what Replay would do, and does nothing.
func (r *Router) Preview(ctx context.Context, scope store.QuarantineScope, id int64) (store.ReplayPreview, error) {
	return r.db.PreviewQuarantined(ctx, scope, id, func(data []byte) ([]events.Inbound, error) {
		return r.parseAgain(ctx, data)
	})
}

func (r *Router) parseAgain(ctx context.Context, data []byte) ([]events.Inbound, error) {
	ev, err := withoutNUL(data)
	if err != nil {
		return nil, fmt.Errorf("it is not an event: %w", err)
	}
	if len(ev.Raw) == 0 && ev.RawRef == "" || r.opts.Reparse == nil {
		return []events.Inbound{*ev}, nil
	}
	list, err := r.opts.Reparse(ctx, ev)
	if err != nil {
		return nil, err
	}
	for i := range list {
		// Who accepted it, where and when stays as it was.
		list[i].Tenant, list[i].Channel, list[i].Transport = ev.Tenant, ev.Channel, ev.Transport
		list[i].AcceptedAt = ev.AcceptedAt
		if len(list[i].Raw) == 0 && list[i].RawRef == "" {
			// Files within the payload are read from it later.
			list[i].Raw, list[i].RawRef = ev.Raw, ev.RawRef
		}
		if list[i].ID = ev.ID; i > 0 {
			list[i].ID = store.NewEventID()
		}
	}
	if len(list) == 0 {
		return nil, &inbox.Error{Code: inbox.Invalid, Message: "The adapter finds nothing in the provider's payload."}
	}
	return list, nil
}
