package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// MediaPrefix precedes the token of a file that a provider fetches from us.
const MediaPrefix = "/media/"

// MediaLinkTime is how long such a link works. Providers fetch a file when they
// send it, which may wait: Twilio keeps messages queued for up to ten hours
// (https://www.twilio.com/docs/messaging/api/message-resource).
const MediaLinkTime = 12 * time.Hour

// longestToken is the most bytes of a token that are looked at.
const longestToken = 2048

// MediaLinks makes links under which a provider can fetch a file for a while,
// and answers the requests. A link proves itself by an HMAC and says which blob
// it is for, so that any replica answers it without a database. Its methods may
// be called from several goroutines.
type MediaLinks struct {
	keys      func() [][]byte
	publicURL string
	now       func() time.Time
	open      func(ctx context.Context, key string) (io.ReadSeekCloser, error)
	gone      error
	log       *slog.Logger
}

// LinkedFile is what a link is for.
type LinkedFile struct {
	// Key names the blob.
	Key  string `json:"k"`
	MIME string `json:"m,omitempty"`
	Name string `json:"n,omitempty"`
}

// signedFile is a link's payload.
type signedFile struct {
	LinkedFile
	// Expires is in Unix seconds.
	Expires int64 `json:"e"`
}

// MediaLinkOptions configure [MediaLinks]. Keys, Open and Gone are required.
type MediaLinkOptions struct {
	// Keys are at least 32 bytes each: the first makes links, and those of any work.
	// It is asked for each link; all processes have the same.
	Keys func() [][]byte
	// PublicURL is where providers reach this installation; without it there are no
	// links.
	PublicURL string
	// Open opens a blob; Gone is what its error wraps when there is none of that key.
	Open   func(ctx context.Context, key string) (io.ReadSeekCloser, error)
	Gone   error
	Logger *slog.Logger
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// NewMediaLinks checks the options.
func NewMediaLinks(o MediaLinkOptions) (*MediaLinks, error) {
	if o.Keys == nil || len(o.Keys()) == 0 || len(o.Keys()[0]) < sha256.Size || o.Open == nil || o.Gone == nil {
		return nil, errors.New("gateway: media links need keys of 32 bytes, Open and Gone")
	}
	l := &MediaLinks{keys: o.Keys, publicURL: strings.TrimRight(o.PublicURL, "/"), now: o.Now, open: o.Open, gone: o.Gone, log: o.Logger}
	if l.now == nil {
		l.now = time.Now
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	return l, nil
}

// URL is a link to a file, or empty when providers cannot reach us. It works for
// MediaLinkTime.
func (l *MediaLinks) URL(f LinkedFile) string {
	if l.publicURL == "" {
		return ""
	}
	text, err := json.Marshal(signedFile{f, l.now().Add(MediaLinkTime).Unix()})
	if err != nil {
		return "" // strings and a number always marshal
	}
	token := base64.RawURLEncoding.EncodeToString(text) + "." + base64.RawURLEncoding.EncodeToString(sign(l.keys()[0], text))
	return l.publicURL + MediaPrefix + token
}

func sign(key, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write(text) // never fails
	return mac.Sum(nil)
}

var (
	errBadLink = errors.New("not a link of ours")
	errExpired = errors.New("the link has expired")
)

// read checks a token.
func (l *MediaLinks) read(token string) (f signedFile, err error) {
	if len(token) > longestToken {
		return f, errBadLink
	}
	payload, signature, ok := strings.Cut(token, ".")
	if !ok {
		return f, errBadLink
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return f, errBadLink
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil || !slices.ContainsFunc(l.keys(), func(key []byte) bool { return hmac.Equal(mac, sign(key, text)) }) {
		return f, errBadLink
	}
	if json.Unmarshal(text, &f) != nil || f.Key == "" {
		return f, errBadLink
	}
	if l.now().Unix() >= f.Expires {
		return f, errExpired
	}
	return f, nil
}

// ServeHTTP answers GET and HEAD for the paths below MediaPrefix, ranges
// included. A wrong link is 404, one that has expired 410.
func (l *MediaLinks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	token, ok := strings.CutPrefix(r.URL.Path, MediaPrefix)
	f, err := l.read(token)
	switch {
	case errors.Is(err, errExpired):
		http.Error(w, "this link has expired", http.StatusGone)
		return
	case !ok || err != nil:
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	file, err := l.open(r.Context(), f.Key)
	switch {
	case errors.Is(err, l.gone):
		http.Error(w, "not found", http.StatusNotFound)
		return
	case err != nil:
		l.log.WarnContext(r.Context(), "a file could not be opened for a provider", slog.Any("error", err))
		h.Set("Retry-After", "10")
		http.Error(w, "try again later", http.StatusServiceUnavailable)
		return
	}
	defer func() { _ = file.Close() }()
	kind := f.MIME
	if _, _, err := mime.ParseMediaType(kind); err != nil {
		kind = "application/octet-stream"
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("X-Robots-Tag", "noindex")
	if name := mime.FormatMediaType("inline", map[string]string{"filename": f.Name}); f.Name != "" && name != "" {
		h.Set("Content-Disposition", name)
	}
	http.ServeContent(w, r, "", time.Time{}, file)
}
