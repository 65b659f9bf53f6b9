package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// DefaultMaxBytes is the largest file that is kept unless told otherwise.
const DefaultMaxBytes = 100 << 20

// LibraryOptions of a Library. DB and Blobs are needed.
type LibraryOptions struct {
	DB    *store.DB
	Blobs store.Blobs
	// TempDir has room for the files under way; the system's by default.
	TempDir string
	// MaxBytes is the largest file in bytes, DefaultMaxBytes by default.
	MaxBytes int64
}

// Library takes files in and hands them out. Its methods may be called from
// several goroutines.
type Library struct {
	opts LibraryOptions
	// decoding is held while a picture is decoded.
	decoding chan struct{}
}

// NewLibrary makes a library.
func NewLibrary(o LibraryOptions) *Library {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	return &Library{opts: o, decoding: make(chan struct{}, 1)}
}

// Upload keeps an agent's file under a name they chose. It fails with Invalid
// when the file is empty or too large. A file that no message gets is removed
// after a while. The same key, unless it is empty, keeps the same file once.
func (l *Library) Upload(ctx context.Context, tenant events.TenantID, key, name, declared string, r io.Reader) (up inbox.Upload, err error) {
	s, err := spool(ctx, l.opts.TempDir, r, l.opts.MaxBytes)
	switch {
	case errors.Is(err, errTooLarge):
		return inbox.Upload{}, l.tooLarge()
	case err != nil:
		return inbox.Upload{}, fmt.Errorf("receiving a file: %w", err)
	}
	defer func() { _ = s.Close() }()
	if s.size == 0 {
		return inbox.Upload{}, emptyFile()
	}
	err = l.keep(ctx, tenant, s, name, declared, nil, func(u store.NewUpload) error {
		u.Key = key
		up, err = l.opts.DB.CreateUpload(ctx, tenant, u)
		return err
	})
	return up, err
}

func (l *Library) tooLarge() error {
	return &inbox.Error{
		Code: inbox.Invalid, Message: fmt.Sprintf("The file is larger than %s.", inWords(l.opts.MaxBytes)),
		Hint: "Send a smaller one, or a link.",
	}
}

func emptyFile() error {
	return &inbox.Error{Code: inbox.Invalid, Message: "The file is empty.", Hint: "Send one with something in it."}
}

// keep makes a file's bytes durable and then has its row written. The same bytes
// are kept once per tenant. Preview, which may be nil, finds a small picture of
// what is no picture itself; it may find none.
func (l *Library) keep(ctx context.Context, tenant events.TenantID, s *spooled, name, declared string, preview func() []byte, write func(store.NewUpload) error) error {
	u := store.NewUpload{
		Name: inbox.CleanFileName(name), MIME: typeOf(s.mime, declared), Size: s.size, SHA256: s.sha256,
	}
	has, err := l.opts.DB.HasUpload(ctx, tenant, s.sha256)
	if err != nil {
		return err
	}
	if has {
		if err := write(u); !errors.Is(err, store.ErrNoSameUpload) {
			return err
		}
	}
	p, err := l.look(ctx, s)
	if err != nil {
		return err
	}
	u.Width, u.Height = p.width, p.height
	if _, readable := formatOf(s.mime); !readable && preview != nil {
		p.small = preview()
	}
	u.BlobKey = store.NewMediaKey(tenant)
	if err := l.opts.Blobs.Put(ctx, u.BlobKey, s); err != nil {
		return err
	}
	if p.small != nil {
		u.ThumbnailKey = u.BlobKey + "-small"
		if err := l.opts.Blobs.Put(ctx, u.ThumbnailKey, bytes.NewReader(p.small)); err != nil {
			return err
		}
	}
	return write(u)
}

// look looks at a picture when it is its turn.
func (l *Library) look(ctx context.Context, s *spooled) (picture, error) {
	if _, ok := formatOf(s.mime); !ok {
		return picture{}, nil
	}
	select {
	case l.decoding <- struct{}{}:
		defer func() { <-l.decoding }()
	case <-ctx.Done():
		return picture{}, ctx.Err()
	}
	return look(s, s.mime), nil
}

// File is an upload with its bytes.
type File struct {
	inbox.Upload
	store.Blob
}

// Size is the number of bytes there are.
func (f *File) Size() int64 { return f.Blob.Size() }

// Open opens one of the tenant's uploads, or its small picture. It fails with
// NotFound. The context holds until it is closed.
func (l *Library) Open(ctx context.Context, tenant events.TenantID, id int64, thumbnail bool) (*File, error) {
	u, err := l.opts.DB.Upload(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	key := u.BlobKey
	if thumbnail {
		if u.ThumbnailKey == "" {
			return nil, &inbox.Error{
				Code: inbox.NotFound, Message: fmt.Sprintf("There is no small picture of file %d.", id), Hint: "Ask for the file itself.",
			}
		}
		key, u.MIME = u.ThumbnailKey, "image/jpeg"
	}
	b, err := l.opts.Blobs.Open(ctx, key)
	if errors.Is(err, store.ErrNoBlob) {
		return nil, &inbox.Error{
			Code: inbox.NotFound, Message: fmt.Sprintf("The bytes of file %d are not there.", id),
			Hint: "Restore the blob store from its backup.", Err: err,
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening a file: %w", err)
	}
	return &File{Upload: u, Blob: b}, nil
}

// inWords is a size as people say it.
func inWords(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.3g MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.3g kB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
