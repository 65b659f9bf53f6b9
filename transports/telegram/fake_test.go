package telegram_test

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"parley/transports/sandbox"
)

// fakeAPI answers requests from a script and writes them down, token redacted.
type fakeAPI struct {
	mu       sync.Mutex
	requests []string
	answers  []fakeAnswer
}

// fakeAnswer is one answer, or err instead of one. A read of the request's body
// comes first unless unread.
type fakeAnswer struct {
	status int
	body   string
	header http.Header
	err    error
	unread bool
}

func (f *fakeAPI) client() *http.Client { return &http.Client{Transport: f} }

func (f *fakeAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.answers) == 0 {
		return nil, errors.New("no answer is scripted for " + r.URL.String())
	}
	a := f.answers[0]
	f.answers = f.answers[1:]
	if a.unread {
		return nil, a.err
	}
	shown, err := showRequest(r)
	if err != nil {
		return nil, err
	}
	f.requests = append(f.requests, shown)
	if a.err != nil {
		return nil, a.err
	}
	if a.header == nil {
		a.header = http.Header{"Content-Type": {"application/json"}}
	}
	return &http.Response{
		StatusCode: a.status, Header: a.header, ContentLength: int64(len(a.body)), Request: r,
		Body: io.NopCloser(strings.NewReader(a.body)),
	}, nil
}

func (f *fakeAPI) took() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// showRequest is a request as text: method and URL, then the fields by name.
func showRequest(r *http.Request) (string, error) {
	lines := []string{r.Method + " " + strings.ReplaceAll(r.URL.String(), sandbox.DefaultTelegramToken, "<token>")}
	kind, attrs, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var fields []string
	switch kind {
	case "multipart/form-data":
		in := multipart.NewReader(r.Body, attrs["boundary"])
		for {
			part, err := in.NextPart()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return "", err
			}
			value, err := io.ReadAll(part)
			if err != nil {
				return "", err
			}
			name := part.FormName()
			if part.FileName() != "" {
				name += " file " + part.FileName()
			}
			fields = append(fields, fmt.Sprintf("%s=%s", name, value))
		}
	case "application/x-www-form-urlencoded":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return "", err
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return "", err
		}
		for name, values := range form {
			fields = append(fields, name+"="+strings.Join(values, ","))
		}
	}
	slices.Sort(fields)
	return strings.Join(append(lines, fields...), "\n"), nil
}

// secrets that no error may hold, in whatever it unwraps to. Of the token, what is
// behind the bot's number is the secret.
var secrets = []string{strings.SplitAfter(sandbox.DefaultTelegramToken, ":")[1], webhookSecret, "opaque-path"}

func checkRedacted(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%q"} {
		words := fmt.Sprintf(format, err)
		for _, secret := range secrets {
			if strings.Contains(words, secret) {
				t.Errorf("a secret is in the error: %s", words)
			}
		}
	}
	switch u := err.(type) { //nolint:errorlint // this walks the chain by hand
	case interface{ Unwrap() error }:
		checkRedacted(t, u.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range u.Unwrap() {
			checkRedacted(t, one)
		}
	}
}
