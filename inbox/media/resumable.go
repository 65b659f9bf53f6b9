package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

const (
	// pieceBytes is how much arrives before it is kept: what a crash loses at most.
	pieceBytes = 8 << 20
	// keepTime is how long keeping what arrived may take once the connection is
	// gone.
	keepTime = 2 * time.Minute
)

// MaxBytes is the largest file that is kept, in bytes.
func (l *Library) MaxBytes() int64 { return l.opts.MaxBytes }

// Begin begins a user's upload that arrives by [Library.Append]. It fails with
// Invalid when it is empty or too large, with Refused when the tenant has too much
// unfinished, and with Conflict when the Key began another one.
func (l *Library) Begin(ctx context.Context, tenant events.TenantID, user int64, n store.NewResumable) (inbox.Resumable, error) {
	if n.Size <= 0 {
		return inbox.Resumable{}, emptyFile()
	}
	if n.Size > l.opts.MaxBytes {
		return inbox.Resumable{}, l.tooLarge()
	}
	n.Name = inbox.CleanFileName(n.Name)
	return l.opts.DB.CreateResumable(ctx, tenant, user, n)
}

// Append keeps what r yields as the bytes of an upload from offset on, piece by
// piece: when r fails, what it yielded until then has arrived. With the last byte
// the upload becomes one that a reply can name. It fails with Conflict when offset
// is not how far the upload is, also when another request goes on with it
// meanwhile, and with Invalid when r yields more than was announced.
func (l *Library) Append(ctx context.Context, tenant events.TenantID, user int64, id string, offset int64, r io.Reader) (inbox.Resumable, error) {
	res, _, err := l.opts.DB.Resumable(ctx, tenant, user, id)
	if err != nil {
		return res, err
	}
	if offset != res.Received {
		return res, store.MovedOn(res, offset)
	}
	for res.Received < res.Size {
		next, more, err := l.piece(ctx, tenant, user, res, r)
		if err != nil {
			return res, err
		}
		if res = next; !more {
			break
		}
	}
	return res, nil
}

// piece keeps the next piece, and reports whether there may be another one.
func (l *Library) piece(ctx context.Context, tenant events.TenantID, user int64, res inbox.Resumable, r io.Reader) (_ inbox.Resumable, more bool, err error) {
	f, err := temporary(l.opts.TempDir)
	if err != nil {
		return res, false, err
	}
	defer func() { _ = f.Close() }()
	left := res.Size - res.Received
	// One more than is left shows that there is too much.
	n, readErr := io.Copy(f, io.LimitReader(r, min(pieceBytes, left+1)))
	switch {
	case n > left:
		return res, false, &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("There are more bytes than the %d that were announced.", res.Size),
			Hint: "Begin an upload with the file's size.",
		}
	case n == 0 && readErr != nil:
		return res, false, cutOff(readErr)
	case n == 0:
		return res, false, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return res, false, err
	}
	// What arrived is kept although who sent it may be gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTime)
	defer cancel()
	if n == left {
		res, err = l.finish(ctx, tenant, user, res, f)
		return res, false, err
	}
	key := store.NewPartKey(tenant)
	if err := l.opts.Blobs.Put(ctx, key, f); err != nil {
		return res, false, err
	}
	next, err := l.opts.DB.AddPart(ctx, tenant, user, res.ID, res.Received, n, key)
	if err != nil {
		if inbox.CodeOf(err) != "" { // certainly not counted; else the sweep finds out
			_ = l.opts.Blobs.Delete(ctx, key)
		}
		return res, false, err
	}
	if readErr != nil {
		return next, false, cutOff(readErr)
	}
	return next, n == pieceBytes, nil
}

// cutOff is what a request hears, if it still hears, whose body did not arrive as
// a whole.
func cutOff(err error) error {
	return &inbox.Error{
		Code: inbox.Invalid, Message: "The bytes stopped before their end.",
		Hint: "Ask with HEAD how many have arrived, and go on from there.", Err: err,
	}
}

// finish makes an upload of the parts and of the last bytes, which only then count
// as arrived: after a crash the client sends them again.
func (l *Library) finish(ctx context.Context, tenant events.TenantID, user int64, res inbox.Resumable, last io.Reader) (inbox.Resumable, error) {
	now, keys, err := l.opts.DB.Resumable(ctx, tenant, user, res.ID)
	if err != nil {
		return res, err
	}
	if now.Received != res.Received {
		return res, store.MovedOn(now, res.Received)
	}
	parts := &parts{ctx: ctx, blobs: l.opts.Blobs, keys: keys}
	defer func() { _ = parts.Close() }()
	up, err := l.Upload(ctx, tenant, "", res.Name, res.MIME, io.MultiReader(parts, last))
	if err != nil {
		return res, err
	}
	done, err := l.opts.DB.FinishResumable(ctx, tenant, user, res.ID, res.Received, up.ID)
	if err != nil {
		return res, err
	}
	l.drop(ctx, keys)
	return done, nil
}

// Cancel forgets one of the user's uploads.
func (l *Library) Cancel(ctx context.Context, tenant events.TenantID, user int64, id string) error {
	keys, err := l.opts.DB.CancelResumable(ctx, tenant, user, id)
	if err == nil {
		l.drop(ctx, keys)
	}
	return err
}

// drop removes blobs that no row names any more; what fails is swept up later.
func (l *Library) drop(ctx context.Context, keys []string) {
	for _, key := range keys {
		_ = l.opts.Blobs.Delete(ctx, key)
	}
}

// parts reads blobs one after the other, one open at a time.
type parts struct {
	ctx   context.Context
	blobs store.Blobs
	keys  []string
	open  store.Blob
}

func (p *parts) Read(b []byte) (int, error) {
	for {
		if p.open == nil {
			if len(p.keys) == 0 {
				return 0, io.EOF
			}
			var err error
			if p.open, err = p.blobs.Open(p.ctx, p.keys[0]); err != nil {
				return 0, fmt.Errorf("opening what arrived: %w", err)
			}
			p.keys = p.keys[1:]
		}
		n, err := p.open.Read(b)
		if errors.Is(err, io.EOF) {
			err = p.Close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Close closes what is open.
func (p *parts) Close() error {
	if p.open == nil {
		return nil
	}
	b := p.open
	p.open = nil
	return b.Close()
}
