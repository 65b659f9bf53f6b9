package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/transports"
)

// ErrNoMedia means that the channel's transport has no files to fetch.
var ErrNoMedia = errors.New("the channel cannot fetch files")

// MediaOptions configure a [MediaOpener]. Factories are required.
type MediaOptions struct {
	// Factories, OpenSecrets, PublicURL and HTTPClient are as in [Options].
	Factories   map[events.Transport]transports.Factory
	OpenSecrets func(events.Channel) (map[string]string, error)
	PublicURL   string
	HTTPClient  *http.Client
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
}

// MediaOpener opens the files of channels, with an adapter for each that it
// keeps while the channel's Version stays. It needs neither bus nor database: a
// worker that has both tells it of the channel. Its methods may be called from
// several goroutines.
type MediaOpener struct {
	builder Gateway // what building an account needs, and nothing that runs

	mu       sync.Mutex
	accounts map[events.ChannelID]*account
	versions map[events.ChannelID]int64
}

// NewMediaOpener makes an opener. It does no I/O.
func NewMediaOpener(o MediaOptions) (*MediaOpener, error) {
	m, err := newMetrics(nil)
	if err != nil {
		return nil, err
	}
	panics := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_media_panics_total", Help: "Panics of adapters while they opened a file, recovered.",
	}, []string{"transport"})
	m.panics = panics
	if o.Registerer != nil {
		if err := o.Registerer.Register(panics); err != nil {
			return nil, fmt.Errorf("gateway: register metrics: %w", err)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.HTTPClient == nil {
		o.HTTPClient = defaultClient()
	}
	return &MediaOpener{
		builder: Gateway{
			factories: o.Factories, openSecrets: o.OpenSecrets, publicURL: o.PublicURL, log: o.Logger, client: o.HTTPClient, metrics: m,
		},
		accounts: make(map[events.ChannelID]*account), versions: make(map[events.ChannelID]int64),
	}, nil
}

// Open opens an attachment of a channel: from raw, its event's payload, when it
// is InRaw, else at the provider. The file ends with transports.ErrMediaTooLarge
// beyond what the transport says it can fetch, and must be closed. The errors are
// [ErrNoMedia], or the adapter's without secrets: see [transports.MediaOpener].
func (o *MediaOpener) Open(ctx context.Context, ch events.Channel, a events.Attachment, raw json.RawMessage) (transports.Media, error) {
	acc := o.account(ch)
	if acc.transport == nil {
		return transports.Media{}, fmt.Errorf("the channel cannot be used: %s", acc.broken)
	}
	media, err := o.open(ctx, acc, a, raw)
	if errors.Is(err, ErrNoMedia) {
		return transports.Media{}, err
	}
	if err != nil {
		return transports.Media{}, &hiddenError{acc.hide.words(err), err}
	}
	if most := acc.transport.Capabilities().MaxFetch; most > 0 && !a.InRaw {
		media.ReadCloser = &boundedFile{file: media.ReadCloser, left: most}
	}
	media.ReadCloser = &discreetFile{media.ReadCloser, acc.hide}
	return media, nil
}

// account is the channel's, built anew when the channel changed.
func (o *MediaOpener) account(ch events.Channel) *account {
	o.mu.Lock()
	defer o.mu.Unlock()
	if acc := o.accounts[ch.ID]; acc != nil && o.versions[ch.ID] == ch.Version {
		return acc
	}
	acc := o.builder.build(ch)
	o.accounts[ch.ID], o.versions[ch.ID] = acc, ch.Version
	return acc
}

func (o *MediaOpener) open(ctx context.Context, acc *account, a events.Attachment, raw json.RawMessage) (m transports.Media, err error) {
	defer o.builder.contain(acc.ch.Transport, &err)
	if a.InRaw {
		opener, ok := acc.transport.(transports.RawMediaOpener)
		if !ok {
			return transports.Media{}, fmt.Errorf("%w: %s keeps none in its payloads", ErrNoMedia, acc.ch.Transport)
		}
		return opener.OpenRawMedia(raw, a.Ref)
	}
	opener, ok := acc.transport.(transports.MediaOpener)
	if !ok {
		return transports.Media{}, fmt.Errorf("%w: %s", ErrNoMedia, acc.ch.Transport)
	}
	if most := acc.transport.Capabilities().MaxFetch; most > 0 && a.Size > most {
		return transports.Media{}, transports.ErrMediaTooLarge // without asking
	}
	return opener.OpenMedia(ctx, a.Ref)
}

// hiddenError is an error whose text was redacted and whose cause is not lost.
type hiddenError struct {
	words string
	err   error
}

func (e *hiddenError) Error() string { return e.words }
func (e *hiddenError) Unwrap() error { return e.err }

// boundedFile ends with an error after left bytes.
type boundedFile struct {
	file io.ReadCloser
	left int64
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

func (f *boundedFile) Close() error { return f.file.Close() }

// discreetFile keeps secrets out of the errors of reading.
type discreetFile struct {
	io.ReadCloser
	hide *redactor
}

func (f *discreetFile) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &hiddenError{f.hide.words(err), err}
	}
	return n, err
}
