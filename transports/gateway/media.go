package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"parley/events"
	"parley/transports"
)

// ErrNoMedia means that the channel is not here, is paused, or its transport has
// no files to fetch.
var ErrNoMedia = errors.New("the channel cannot fetch files")

// OpenMedia opens an events.Attachment of a channel by its Ref. It waits while
// Limits.Media files are open, until ctx ends. The file ends with
// transports.ErrMediaTooLarge beyond what the transport says it can fetch, and
// must be closed. Other errors are the adapter's, without secrets: see
// [transports.MediaOpener].
func (g *Gateway) OpenMedia(ctx context.Context, ch events.ChannelID, ref string) (_ transports.Media, err error) {
	acc := g.table.byID(ch)
	if acc == nil || acc.media == nil {
		return transports.Media{}, fmt.Errorf("%w: %s", ErrNoMedia, ch)
	}
	select {
	case g.media <- struct{}{}:
	case <-ctx.Done():
		return transports.Media{}, ctx.Err()
	}
	media, err := g.openMedia(ctx, acc, ref)
	if err != nil {
		<-g.media
		return transports.Media{}, &hiddenError{acc.hide.words(err), err}
	}
	media.ReadCloser = &boundedFile{
		file:  media.ReadCloser,
		left:  acc.transport.Capabilities().MaxFetch,
		close: sync.OnceFunc(func() { <-g.media }),
	}
	return media, nil
}

func (g *Gateway) openMedia(ctx context.Context, acc *account, ref string) (m transports.Media, err error) {
	defer g.contain(acc.ch.Transport, &err)
	return acc.media.OpenMedia(ctx, ref)
}

// hiddenError is an error whose text was redacted and whose cause is not lost.
type hiddenError struct {
	words string
	err   error
}

func (e *hiddenError) Error() string { return e.words }
func (e *hiddenError) Unwrap() error { return e.err }

// boundedFile ends with an error after left bytes and gives its place back when
// it is closed.
type boundedFile struct {
	file  io.ReadCloser
	left  int64
	close func()
}

func (f *boundedFile) Read(p []byte) (int, error) {
	// One byte more than allowed tells a file that is too large from one that
	// just fits.
	if int64(len(p)) > f.left+1 {
		p = p[:f.left+1]
	}
	n, err := f.file.Read(p)
	if int64(n) > f.left {
		n, f.left = int(f.left), 0
		return n, transports.ErrMediaTooLarge
	}
	f.left -= int64(n)
	return n, err
}

func (f *boundedFile) Close() error {
	defer f.close()
	return f.file.Close()
}
