package twilio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	twilio "github.com/twilio/twilio-go/client"

	"parley/transports"
)

// maxAnswer bounds an answer of the API in bytes: a page of a thousand messages
// of 1600 signs each, escaped, fits.
const maxAnswer = 32 << 20

// apiError is a request that the API, or something in front of it, refused.
type apiError struct {
	Op     string
	Status int
	// Code is Twilio's (https://www.twilio.com/docs/api/errors), 0 when the answer
	// was not the API's: a proxy's page, say.
	Code       int
	Words      string // without secrets
	RetryAfter time.Duration
}

func (e *apiError) Error() string {
	if e.Code == 0 {
		return fmt.Sprintf("twilio: %s: %d %s", e.Op, e.Status, e.Words)
	}
	return fmt.Sprintf("twilio: %s: %s (error %d)", e.Op, e.Words, e.Code)
}

// badCredentials reports whether the account was refused rather than the request:
// a wrong token, an account that is not there, is closed or is suspended.
func (e *apiError) badCredentials() bool {
	switch e.Code {
	case 20003, 20005, 20006, 20008:
		return true
	}
	return e.Status == http.StatusUnauthorized
}

// throttled reports whether the request came too soon.
func (e *apiError) throttled() bool {
	return e.Status == http.StatusTooManyRequests || e.Code == 20429
}

// refusal makes errors of everything but Send what the seam promises.
func refusal(err error) error {
	var e *apiError
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.badCredentials():
		return fmt.Errorf("%w: check the account SID and the auth token: %w", transports.ErrCredentials, err)
	case e.throttled():
		return &transports.RetryAfterError{After: e.RetryAfter, Err: err}
	}
	return err
}

// call is the SDK's client for one call: it carries the context, knows the base
// URL, reads the answer in full within bounds, and knows afterwards how far it
// got.
type call struct {
	number *Number
	// The SDK has no contexts: this is how one reaches its request.
	ctx  context.Context
	op   string
	left atomic.Bool
	// answered is true once an answer of success was read in full.
	answered atomic.Bool
	// date is the provider's clock, zero when it gave none.
	date time.Time
}

var _ twilio.BaseClient = (*call)(nil)

func (n *Number) call(ctx context.Context, op string) *call {
	return &call{number: n, ctx: ctx, op: op}
}

// handler is the SDK's, without its reading of the environment.
func (c *call) handler() *twilio.RequestHandler { return &twilio.RequestHandler{Client: c} }

// AccountSid implements the SDK's BaseClient.
func (c *call) AccountSid() string { return c.number.accountSID }

// SetTimeout implements the SDK's BaseClient: the context is the limit.
func (c *call) SetTimeout(time.Duration) {}

// SetOauth implements the SDK's BaseClient.
func (c *call) SetOauth(twilio.OAuth) {}

// OAuth implements the SDK's BaseClient.
func (c *call) OAuth() twilio.OAuth { return nil }

// SendRequest implements the SDK's BaseClient. Its error holds no secret: an
// *apiError when there was a clear refusal, a redacted one otherwise. A request
// that the first auth token is refused for is made again with the next.
func (c *call) SendRequest(method, rawURL string, data url.Values, headers map[string]any, body ...byte) (*http.Response, error) {
	to, err := c.number.target(rawURL)
	if err != nil {
		return nil, c.number.redact.Error(c.op, err)
	}
	kind := "application/x-www-form-urlencoded"
	if given, ok := headers["Content-Type"].(string); ok {
		kind = given
	}
	switch {
	case method == http.MethodGet || method == http.MethodDelete:
		if len(data) > 0 {
			to.RawQuery = data.Encode()
		}
		body = nil
	case !strings.HasPrefix(kind, "application/json"):
		body = []byte(data.Encode())
	}
	for i, token := range c.number.tokens {
		var refused *apiError
		resp, err := c.attempt(method, to, kind, body, token)
		if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized && i+1 < len(c.number.tokens) {
			continue
		}
		return resp, err
	}
	return nil, c.number.redact.Error(c.op, errors.New("there is no auth token"))
}

// target is where a URL of the SDK's leads: to api_url, if there is one.
func (n *Number) target(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	if n.base.String() == DefaultAPI {
		return u, nil
	}
	to := n.base.JoinPath(u.EscapedPath())
	to.RawQuery = u.RawQuery
	return to, nil
}

func (c *call) attempt(method string, to *url.URL, kind string, body []byte, token string) (*http.Response, error) {
	n := c.number
	req, err := http.NewRequestWithContext(c.ctx, method, to.String(), nil)
	if err != nil {
		return nil, n.redact.Error(c.op, err)
	}
	c.left.Store(len(body) == 0)
	if len(body) > 0 {
		// net/http rewinds a POST only once it knows that the server saw nothing of
		// it, so that the mark starts anew.
		req.GetBody = func() (io.ReadCloser, error) {
			c.left.Store(false)
			return &outgoing{rest: bytes.NewReader(body), left: &c.left}, nil
		}
		req.Body, _ = req.GetBody()
		req.ContentLength = int64(len(body))
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "parley twilio-go/"+twilio.LibraryVersion)
	req.SetBasicAuth(n.accountSID, token)
	resp, err := n.client.Do(req)
	if err != nil {
		return nil, n.redact.Error(c.op, err)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if closing := resp.Body.Close(); err == nil {
		err = closing
	}
	if err == nil && len(answer) > maxAnswer {
		err = fmt.Errorf("longer than %d bytes", maxAnswer)
	}
	c.date, _ = http.ParseTime(resp.Header.Get("Date"))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, n.refused(c.op, resp, answer)
	}
	if err != nil {
		return nil, n.redact.Error(c.op, fmt.Errorf("read the answer: %w", err))
	}
	c.answered.Store(true)
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	return resp, nil
}

// maxWait is the longest Retry-After that is believed.
const maxWait = time.Hour

// refused reads an error answer (https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions).
func (n *Number) refused(op string, resp *http.Response, answer []byte) *apiError {
	e := &apiError{Op: op, Status: resp.StatusCode, Words: http.StatusText(resp.StatusCode)}
	var said struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &said) == nil && said.Code != 0 {
		e.Code = said.Code
		if said.Message != "" {
			e.Words = clean(n.redact.Words(said.Message))
		}
	}
	if seconds, err := strconv.Atoi(strings.TrimSpace(resp.Header.Get("Retry-After"))); err == nil && seconds > 0 {
		e.RetryAfter = min(time.Duration(min(seconds, int(maxWait/time.Second)))*time.Second, maxWait)
	}
	return e
}

// get asks for JSON and reads it into into.
func (n *Number) get(ctx context.Context, op, rawURL string, query url.Values, into any) error {
	_, err := n.ask(ctx, op, rawURL, query, into)
	return err
}

// ask is get that also yields the provider's clock.
func (n *Number) ask(ctx context.Context, op, rawURL string, query url.Values, into any) (time.Time, error) {
	c := n.call(ctx, op)
	resp, err := c.handler().Get(rawURL, query, map[string]any{}, "") //nolint:bodyclose // read closes it
	return c.date, n.read(op, resp, err, into)
}

// read decodes an answer; both may come from the SDK.
func (n *Number) read(op string, resp *http.Response, err error, into any) error {
	if err != nil {
		return refusal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return n.redact.Error(op, fmt.Errorf("the answer is not Twilio's: %w", err))
	}
	return nil
}

// outgoing is a request body that knows whether the connection was given all of
// it. What was not given out cannot have been accepted, as the API acts on whole
// requests only; the opposite does not follow.
type outgoing struct {
	rest *bytes.Reader
	left *atomic.Bool
}

// Read implements [io.Reader]. The mark is set before the bytes are handed out:
// once they are, nobody can tell what became of them.
func (o *outgoing) Read(p []byte) (int, error) {
	if o.rest.Len() <= len(p) {
		o.left.Store(true)
	}
	return o.rest.Read(p)
}

// Close implements [io.Closer].
func (o *outgoing) Close() error { return nil }
