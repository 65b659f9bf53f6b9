package transports_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"parley/transports"
)

func TestRedactorTakesSecretsOut(t *testing.T) {
	t.Parallel()
	r := transports.NewRedactor("net ", "", "secret").With("secret-long")
	if got := r.Words("secret-long, secret"); got != "[redacted], [redacted]" {
		t.Errorf("words became %q", got)
	}
	if r.Error("call", nil) != nil {
		t.Error("no error became one")
	}
	for name, tc := range map[string]struct {
		err  error
		want string
		is   error
	}{
		"clean":       {io.ErrUnexpectedEOF, "net call: unexpected EOF", io.ErrUnexpectedEOF},
		"url":         {&url.Error{Op: "Get", URL: "https://x/secret", Err: io.ErrUnexpectedEOF}, "net call: unexpected EOF", io.ErrUnexpectedEOF},
		"words":       {errors.New("said secret"), "net call: said [redacted]", nil},
		"cancelled":   {fmt.Errorf("secret: %w", context.Canceled), "net call: [redacted]: context canceled", context.Canceled},
		"credentials": {fmt.Errorf("%w: secret", transports.ErrCredentials), "net call: " + transports.ErrCredentials.Error() + ": [redacted]", transports.ErrCredentials},
	} {
		got := r.Error("call", tc.err)
		if got.Error() != tc.want || tc.is != nil && !errors.Is(got, tc.is) {
			t.Errorf("%s became %q (%v)", name, got, errors.Unwrap(got))
		}
		for err := got; err != nil; err = errors.Unwrap(err) {
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%s wraps %q", name, err)
			}
		}
	}
}

func TestLimitBody(t *testing.T) {
	t.Parallel()
	r := transports.NewRedactor("net ", "secret")
	open := func(body io.Reader) io.Reader {
		return transports.LimitBody(io.NopCloser(body), 5, r, "download")
	}
	if got, err := io.ReadAll(open(strings.NewReader("12345"))); err != nil || string(got) != "12345" {
		t.Errorf("a body of the limit: %q, %v", got, err)
	}
	if _, err := io.ReadAll(open(strings.NewReader("123456"))); !errors.Is(err, transports.ErrMediaTooLarge) {
		t.Errorf("a body beyond the limit: %v", err)
	}
	if _, err := io.ReadAll(open(io.MultiReader(strings.NewReader("1"), broken{}))); err == nil || err.Error() != "net download: [redacted] broke" {
		t.Errorf("a body that breaks: %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("secret broke") }
