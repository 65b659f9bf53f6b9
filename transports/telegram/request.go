package telegram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	tgbotapi "github.com/go-telegram-bot-api/telegram-bot-api/v5"

	"parley/transports"
)

// maxAnswer bounds an answer of the API in bytes. The largest is a hundred
// updates, each some tens of kilobytes at most.
const maxAnswer = 32 << 20

// apiError is a request that the API, or something in front of it, refused.
type apiError struct {
	Method     string
	Code       int
	Words      string // the description, without secrets
	RetryAfter time.Duration
	MigrateTo  int64
	// Foreign is true when the answer was not the API's: a proxy's page, say.
	Foreign bool
}

func (e *apiError) Error() string {
	return fmt.Sprintf("telegram %s: %d %s", e.Method, e.Code, e.Words)
}

// call makes one request through the SDK and yields the raw result. The error
// holds no secret: an *apiError when there was a clear refusal, a redacted one
// otherwise, and left then says whether the whole request may have left.
func (b *Bot) call(ctx context.Context, method string, params tgbotapi.Params, files ...tgbotapi.RequestFile) (result json.RawMessage, left bool, err error) {
	x := &exchange{ctx: ctx, client: b.client}
	api := tgbotapi.BotAPI{Token: b.token, Client: x}
	api.SetAPIEndpoint(b.endpoint)
	var answer *tgbotapi.APIResponse
	if len(files) == 0 {
		answer, err = api.MakeRequest(method, params)
	} else {
		answer, err = api.UploadFiles(method, params, files)
	}
	if err == nil {
		return answer.Result, true, nil
	}
	left = x.mayHaveLeft()
	var refused *tgbotapi.Error
	switch {
	case errors.As(err, &refused) && answer != nil:
		// The code is read from the answer, as the SDK leaves it out after uploads.
		e := &apiError{Method: method, Code: answer.ErrorCode, Words: b.redact.Words(answer.Description)}
		if e.Code == 0 {
			e.Code = x.status
		}
		if p := answer.Parameters; p != nil {
			e.RetryAfter = time.Duration(p.RetryAfter) * time.Second
			e.MigrateTo = p.MigrateToChatID
		}
		return nil, left, e
	case x.status >= 300:
		// No JSON, but the status is clear.
		return nil, left, &apiError{Method: method, Code: x.status, Words: http.StatusText(x.status), Foreign: true}
	case x.status != 0 && x.readErr == nil:
		return nil, left, b.redact.Error(method, fmt.Errorf("the answer (%d) is not the Bot API's", x.status))
	}
	return nil, left, b.redact.Error(method, err)
}

// refusal makes errors of everything but Send what the seam promises.
func refusal(err error) error {
	var e *apiError
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.badCredentials():
		return fmt.Errorf("%w: check the bot's token: %w", transports.ErrCredentials, err)
	case e.Code == http.StatusTooManyRequests:
		return &transports.RetryAfterError{After: e.RetryAfter, Err: err}
	}
	return err
}

// badCredentials reports whether the token is refused: 401 when it was revoked,
// 404 when it never existed. A 404 that names the method is an older server of
// one's own that lacks it.
func (e *apiError) badCredentials() bool {
	if e.Foreign {
		return false
	}
	return e.Code == http.StatusUnauthorized || (e.Code == http.StatusNotFound && !e.unknownMethod())
}

func (e *apiError) unknownMethod() bool {
	return e.Code == http.StatusNotFound && e.Words == "Not Found: method not found"
}

// exchange is the SDK's HTTP client for one call: it carries the context, reads
// the answer in full within bounds, and knows afterwards how far it got.
type exchange struct {
	// The SDK has no contexts: this is how one reaches its request.
	ctx     context.Context
	client  *http.Client
	status  int
	readErr error
	body    *outgoing
}

// Do implements the SDK's HTTPClient.
func (x *exchange) Do(req *http.Request) (*http.Response, error) {
	req = req.WithContext(x.ctx)
	if req.Body != nil && req.Body != http.NoBody {
		x.watch(req)
		// The SDK's uploading goroutine ends when its pipe is closed, whatever else
		// happens.
		defer func() { _ = x.body.Close() }()
	}
	resp, err := x.client.Do(req) //nolint:gosec // the URL is the account's api_url
	if err != nil {
		return nil, err
	}
	x.status = resp.StatusCode
	answer, err := readAll(resp)
	if closing := resp.Body.Close(); err == nil {
		err = closing
	}
	if err != nil {
		x.readErr = err
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	return resp, nil
}

func (x *exchange) watch(req *http.Request) {
	x.body = &outgoing{body: req.Body, size: req.ContentLength}
	if again := req.GetBody; again != nil {
		// net/http rewinds a POST only once it knows that the server saw nothing of
		// it (an idle connection that turned out closed before the first byte), so
		// that the count starts anew.
		req.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			if err != nil {
				return nil, err
			}
			x.body.rewind(body)
			return x.body, nil
		}
	}
	req.Body = x.body
}

func (x *exchange) mayHaveLeft() bool { return x.body != nil && x.body.left() }

// readAll reads an answer to its end, so that the connection can be used again.
func readAll(resp *http.Response) ([]byte, error) {
	if n := resp.ContentLength; n >= 0 && n <= 64<<10 {
		answer := make([]byte, n)
		_, err := io.ReadFull(resp.Body, answer)
		return answer, err
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = fmt.Errorf("longer than %d bytes", maxAnswer)
	}
	return answer, err
}

// outgoing is a request body that knows whether the connection was given all of
// it. What was not given out cannot have been accepted, as the API acts on whole
// requests only; the opposite does not follow.
type outgoing struct {
	mu   sync.Mutex
	body io.ReadCloser
	size int64 // -1 or 0 when unknown: the body's end is its own mark then
	sent int64
	all  bool
}

// Read implements [io.Reader]. The mark is set before the bytes are handed out:
// once they are, nobody can tell what became of them.
func (o *outgoing) Read(p []byte) (int, error) {
	o.mu.Lock()
	body := o.body
	o.mu.Unlock()
	n, err := body.Read(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent += int64(n)
	if errors.Is(err, io.EOF) || (o.size > 0 && o.sent >= o.size) {
		o.all = true
	}
	return n, err
}

// Close implements [io.Closer].
func (o *outgoing) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.body.Close()
}

func (o *outgoing) rewind(body io.ReadCloser) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.body, o.sent, o.all = body, 0, false
}

func (o *outgoing) left() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all
}
