package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/inbox"
	"parley/store"
)

// SuspendTenant keeps everybody of a tenant out and pauses its channels, or lets
// them go on.
func (d *Desk) SuspendTenant(ctx context.Context, tenant events.TenantID, by inbox.Actor, suspended bool) (store.Tenant, error) {
	t, err := d.Store.SuspendTenant(ctx, tenant, by, suspended)
	if err != nil {
		return store.Tenant{}, err
	}
	channels, err := d.Store.Channels(ctx, tenant)
	if err != nil {
		return store.Tenant{}, err
	}
	for _, ch := range channels {
		d.project(ctx, ch)
	}
	return t, nil
}

// RemovedTenant is a tenant that was removed for good.
type RemovedTenant struct {
	ID   events.TenantID `json:"id"`
	Name string          `json:"name"`
	At   time.Time       `json:"at"`
	// Rows are how many of it were in each table, Files how many files and large
	// payloads only it had.
	Rows  map[string]int64 `json:"rows" doc:"How many of it were in each table."`
	Files int              `json:"files" doc:"Files, thumbnails and large payloads."`
	// Done says that bus and files are rid of it, too, but for what was under way.
	Done bool `json:"done" doc:"Whether bus and files are rid of it, too; if not, it is tried again until they are."`
}

// RemoveTenant removes a tenant and everything of it for good. Name is its name, typed
// again: with another one it fails with Invalid and nothing happens. The database is
// rid of it when it returns; so are the bus and the blob store, unless they cannot be
// reached just now: then, and in any case a minute later, [Desk.RunErasures] goes over
// them again.
func (d *Desk) RemoveTenant(ctx context.Context, tenant events.TenantID, by inbox.Actor, name string) (RemovedTenant, error) {
	t, err := d.Tenant(ctx, string(tenant))
	if err != nil {
		return RemovedTenant{}, err
	}
	if name != t.Name {
		return RemovedTenant{}, &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("The tenant is not named %q.", name),
			Hint: "Type its name as the list of tenants shows it: nothing of it can be brought back.",
		}
	}
	// Nothing more is accepted or sent from here on.
	if _, err := d.SuspendTenant(ctx, tenant, by, true); err != nil {
		return RemovedTenant{}, err
	}
	// Whoever asked may have given up waiting: what has begun ends.
	r, err := d.Store.RemoveTenant(context.WithoutCancel(ctx), tenant)
	if err != nil {
		return RemovedTenant{}, err
	}
	d.forgetAbilities(tenant)
	// The tenant's own audit log is gone with it.
	d.log().InfoContext(ctx, "tenant removed", "tenant", tenant, "by", by.Name, "request", by.RequestID, "rows", r.Rows)
	out := RemovedTenant{ID: t.ID, Name: t.Name, At: r.At, Rows: r.Rows, Files: len(r.Blobs), Done: true}
	if err := d.removeOutside(context.WithoutCancel(ctx), &r); err != nil {
		out.Done = false
		d.log().WarnContext(ctx, "a removed tenant is still on the bus or among the files, will be tried again", "tenant", tenant, "error", err)
	}
	return out, nil
}

// removeOutside removes what is left of a tenant on the bus and in the blob store.
func (d *Desk) removeOutside(ctx context.Context, r *store.TenantRemoval) error {
	if err := d.Bus.PutErasure(ctx, jetstream.Erasure{ID: string(r.ID), Tenant: r.ID, At: r.At, Whole: true}); err != nil {
		return err
	}
	// Its channels are gone from the truth.
	if err := d.Project(ctx); err != nil {
		return err
	}
	if err := d.Bus.PurgeTenantFacts(ctx, r.ID); err != nil {
		return err
	}
	if d.Files != nil {
		if err := d.Files.Remove(ctx, r.Blobs); err != nil {
			return err
		}
	}
	return d.sweepFrames(ctx, everyPartition, func(_ context.Context, list []*events.Inbound) ([]bool, error) {
		theirs := make([]bool, len(list))
		for i, ev := range list {
			theirs[i] = ev.Tenant == r.ID
		}
		return theirs, nil
	})
}

func everyPartition(int) bool { return true }

// finishRemovals goes once more over tenants that were removed at least age ago.
func (d *Desk) finishRemovals(ctx context.Context, age time.Duration) error {
	pending, err := d.Store.PendingTenantRemovals(ctx, age, 100)
	if err != nil {
		return err
	}
	var failed []error
	for i := range pending {
		err := d.removeOutside(ctx, &pending[i])
		if err == nil {
			err = d.Store.FinishTenantRemoval(ctx, pending[i].ID)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// repeatRemovals removes tenants again that are back because the database was
// restored from a backup.
func (d *Desk) repeatRemovals(ctx context.Context, removed []events.TenantID) error {
	unknown, err := d.Store.UnremovedTenants(ctx, removed)
	if err != nil {
		return err
	}
	for _, tenant := range unknown {
		if _, err := d.Store.RemoveTenant(ctx, tenant); err != nil && inbox.CodeOf(err) != inbox.NotFound {
			return err
		}
	}
	return nil
}
