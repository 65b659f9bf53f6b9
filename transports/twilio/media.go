package twilio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"

	"parley/transports"
)

// maxHops is how often a file's address may point on; Twilio's does once or twice.
const maxHops = 4

// mediaPath is the only kind of address that the credentials go to.
var mediaPath = regexp.MustCompile(`/2010-04-01/Accounts/AC[0-9a-zA-Z]{32}/Messages/[A-Z]{2}[0-9a-zA-Z]{32}/Media/ME[0-9a-zA-Z]{32}$`)

// messageSID is a ref that names a message instead of a file.
var messageSID = regexp.MustCompile(`^[0-9a-zA-Z]{1,64}$`)

// OpenMedia implements [transports.MediaOpener]. The ref is the MediaUrl of the
// webhook, or the sid of a message, for its only file
// (https://www.twilio.com/docs/messaging/api/media-resource): fetched with the
// account's credentials, and only from the API; where that redirects to is asked
// without them, and only if it is a storage of Twilio's.
//
// A file of a message that has just come may not be there yet: 404 is worth
// another try.
func (n *Number) OpenMedia(ctx context.Context, ref string) (transports.Media, error) {
	if messageSID.MatchString(ref) {
		return n.openOnly(ctx, ref)
	}
	from, err := n.mediaURL(ref)
	if err != nil {
		return transports.Media{}, err
	}
	for i, token := range n.tokens {
		media, err := n.fetch(ctx, from, token)
		var refused *apiError
		if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized && i+1 < len(n.tokens) {
			continue
		}
		return media, err
	}
	return transports.Media{}, errNotMedia
}

// openOnly opens the first file of a message.
func (n *Number) openOnly(ctx context.Context, sid string) (transports.Media, error) {
	list, err := n.mediaOf(ctx, sid)
	if err != nil {
		return transports.Media{}, err
	}
	if len(list) == 0 {
		return transports.Media{}, n.redact.Error("fetch a file", errors.New("the message has none, or not yet"))
	}
	ref, _, ok := n.listedFile(list[0])
	if !ok {
		return transports.Media{}, errNotMedia
	}
	return n.OpenMedia(ctx, ref)
}

var errNotMedia = errors.New("twilio: fetch a file: its address is not one of a file at Twilio")

// mediaURL checks a ref. Files found in the list and those of webhooks are both
// asked for where the API is.
func (n *Number) mediaURL(ref string) (*url.URL, error) {
	u, err := url.Parse(ref)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !mediaPath.MatchString(u.Path) || u.RawPath != "" {
		return nil, errNotMedia
	}
	own := u.Scheme == n.base.Scheme && u.Host == n.base.Host && strings.HasPrefix(u.Path, n.base.Path+"/2010-04-01/")
	if own || (u.Scheme == "https" && apiHost(u) && strings.HasPrefix(u.Path, "/2010-04-01/")) {
		return u, nil
	}
	return nil, errNotMedia
}

// apiHost reports whether an address is the API's, in whatever region.
func apiHost(u *url.URL) bool {
	host := strings.ToLower(u.Host)
	return host == "api.twilio.com" || (strings.HasPrefix(host, "api.") && strings.HasSuffix(host, ".twilio.com"))
}

// storage reports whether an address is where Twilio keeps files: its CDN, or its
// bucket (https://www.twilio.com/docs/messaging/api/media-resource#fetch-a-media-resource).
func (n *Number) storage(u *url.URL) bool {
	if u.User != nil {
		return false
	}
	if u.Scheme == n.base.Scheme && u.Host == n.base.Host {
		return true
	}
	host := strings.ToLower(u.Host)
	switch {
	case u.Scheme != "https":
		return false
	case strings.HasSuffix(host, ".twiliocdn.com"), strings.HasSuffix(host, ".twilio.com"):
		return true
	}
	const bucket = "media.twiliocdn.com"
	inPath := strings.HasPrefix(u.Path, "/"+bucket+"/") && path.Clean(u.Path) == u.Path
	return inPath && (host == "s3.amazonaws.com" || host == "s3-external-1.amazonaws.com")
}

func (n *Number) fetch(ctx context.Context, from *url.URL, token string) (transports.Media, error) {
	const op = "fetch a file"
	for hop := range maxHops {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
		if err != nil {
			return transports.Media{}, n.redact.Error(op, err)
		}
		if hop == 0 {
			req.SetBasicAuth(n.accountSID, token)
		}
		resp, err := n.client.Do(req)
		if err != nil {
			return transports.Media{}, n.redact.Error(op, err)
		}
		if resp.StatusCode < 300 || resp.StatusCode > 399 {
			return n.media200(op, resp, hop)
		}
		_ = resp.Body.Close()
		to, err := from.Parse(resp.Header.Get("Location"))
		if err != nil || resp.Header.Get("Location") == "" || !n.storage(to) {
			return transports.Media{}, n.redact.Error(op, errors.New("it was redirected to where Twilio keeps no files"))
		}
		from = to
	}
	return transports.Media{}, n.redact.Error(op, errors.New("it was redirected too often"))
}

// media200 takes the answer that is no redirect. Only the API's own refusals say
// something about the credentials.
func (n *Number) media200(op string, resp *http.Response, hop int) (transports.Media, error) {
	if resp.StatusCode != http.StatusOK {
		words, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		_ = resp.Body.Close()
		e := n.refused(op, resp, words)
		switch {
		case e.Status == http.StatusGone:
			return transports.Media{}, fmt.Errorf("%w: %w", transports.ErrMediaGone, e)
		case hop > 0:
			return transports.Media{}, e
		}
		return transports.Media{}, refusal(e)
	}
	if resp.ContentLength > n.caps.MaxFetch {
		_ = resp.Body.Close()
		return transports.Media{}, fmt.Errorf("twilio: %s of %d bytes: %w", op, resp.ContentLength, transports.ErrMediaTooLarge)
	}
	return transports.Media{
		ReadCloser: transports.LimitBody(resp.Body, n.caps.MaxFetch, n.redact, op),
		Name:       fileName(resp),
		MIME:       resp.Header.Get("Content-Type"),
		Size:       resp.ContentLength,
	}, nil
}

// notFound reports whether the API does not know what was asked for.
func notFound(err error) bool {
	var e *apiError
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}
