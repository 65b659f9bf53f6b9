package twilio_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fakeAPI answers requests from a script and writes them down.
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
	header := http.Header{"Content-Type": {"application/json"}}
	for name, values := range a.header {
		header[name] = values
	}
	return &http.Response{
		StatusCode: a.status, Header: header, ContentLength: int64(len(a.body)), Request: r, Body: io.NopCloser(strings.NewReader(a.body)),
	}, nil
}

func (f *fakeAPI) took() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// showRequest is a request as text: method and URL, who asks, then the fields by
// name.
func showRequest(r *http.Request) (string, error) {
	user, token, ok := r.BasicAuth()
	lines := []string{r.Method + " " + r.URL.String()}
	switch {
	case !ok:
		lines = append(lines, "without credentials")
	case token == authToken:
		lines = append(lines, "as "+user)
	case token == nextToken:
		lines = append(lines, "as "+user+", next token")
	}
	if r.Body == nil {
		return strings.Join(lines, "\n"), nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return strings.Join(append(lines, string(body)), "\n"), nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", err
	}
	var fields []string
	for name, values := range form {
		fields = append(fields, name+"="+strings.Join(values, ","))
	}
	slices.Sort(fields)
	return strings.Join(append(lines, fields...), "\n"), nil
}

// checkRedacted wants no secret in an error, or in whatever it unwraps to.
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
