package desk

import (
	"context"
	"io"

	"parley/events"
	"parley/inbox"
	"parley/inbox/media"
)

// errNoFiles is what an installation without a blob store answers.
var errNoFiles = &inbox.Error{
	Code: inbox.Refused, Message: "This installation keeps no files.",
	Hint: "Start it with --blob-url, which says where all processes keep them.",
}

// Upload keeps a file that an agent wants to send; see [media.Library.Upload].
// Its id then goes into a reply's Attachments.
func (d *Desk) Upload(ctx context.Context, tenant events.TenantID, key, name, declared string, r io.Reader) (inbox.Upload, error) {
	if d.Files == nil {
		return inbox.Upload{}, errNoFiles
	}
	return d.Files.Upload(ctx, tenant, key, name, declared, r)
}

// UploadInfo says what is known of a file.
func (d *Desk) UploadInfo(ctx context.Context, tenant events.TenantID, id int64) (inbox.Upload, error) {
	return d.Store.Upload(ctx, tenant, id)
}

// OpenUpload opens a file or its small picture, for [media.Serve]; the caller
// closes it.
func (d *Desk) OpenUpload(ctx context.Context, tenant events.TenantID, id int64, thumbnail bool) (*media.File, error) {
	if d.Files == nil {
		return nil, errNoFiles
	}
	return d.Files.Open(ctx, tenant, id, thumbnail)
}

// Refetch has the files of a message that could not be fetched tried again, and
// says how many there are.
func (d *Desk) Refetch(ctx context.Context, tenant events.TenantID, message int64) (int64, error) {
	if d.Files == nil {
		return 0, errNoFiles
	}
	return d.Store.RefetchMedia(ctx, tenant, message)
}
