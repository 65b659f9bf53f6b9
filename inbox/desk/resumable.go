package desk

import (
	"context"
	"io"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// MaxUpload is the largest file that is kept in bytes, 0 when none are.
func (d *Desk) MaxUpload() int64 {
	if d.Files == nil {
		return 0
	}
	return d.Files.MaxBytes()
}

// BeginUpload begins a user's upload that arrives in pieces; see
// [media.Library.Begin].
func (d *Desk) BeginUpload(ctx context.Context, tenant events.TenantID, user int64, n store.NewResumable) (inbox.Resumable, error) {
	if d.Files == nil {
		return inbox.Resumable{}, errNoFiles
	}
	return d.Files.Begin(ctx, tenant, user, n)
}

// Resumable says how far one of the user's uploads is.
func (d *Desk) Resumable(ctx context.Context, tenant events.TenantID, user int64, id string) (inbox.Resumable, error) {
	r, _, err := d.Store.Resumable(ctx, tenant, user, id)
	return r, err
}

// ContinueUpload goes on with one of the user's uploads; see
// [media.Library.Append].
func (d *Desk) ContinueUpload(ctx context.Context, tenant events.TenantID, user int64, id string, offset int64, r io.Reader) (inbox.Resumable, error) {
	if d.Files == nil {
		return inbox.Resumable{}, errNoFiles
	}
	return d.Files.Append(ctx, tenant, user, id, offset, r)
}

// CancelUpload forgets one of the user's uploads.
func (d *Desk) CancelUpload(ctx context.Context, tenant events.TenantID, user int64, id string) error {
	if d.Files == nil {
		return errNoFiles
	}
	return d.Files.Cancel(ctx, tenant, user, id)
}
