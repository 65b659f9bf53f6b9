package telegram

import (
	"context"
	"errors"
	"net/url"
	"strings"
)

// redactor takes an account's secrets out of words that leave the package. The
// zero value takes out nothing.
type redactor struct{ secrets []string }

// newRedactor knows the token (and its secret half, for URLs may escape the
// colon), the webhook's secret and its path.
func newRedactor(token, secret, path string) redactor {
	var r redactor
	for _, s := range []string{token, secret, path} {
		if s != "" {
			r.secrets = append(r.secrets, s)
		}
	}
	// A half too short to be anything but made up would only mangle words.
	if _, half, ok := strings.Cut(token, ":"); ok && len(half) >= 8 {
		r.secrets = append(r.secrets, half)
	}
	return r
}

func (r redactor) string(s string) string {
	for _, secret := range r.secrets {
		s = strings.ReplaceAll(s, secret, "[redacted]")
	}
	return s
}

// error rebuilds err, doing something that op describes, so that neither its
// words nor anything it unwraps to holds a secret.
func (r redactor) error(op string, err error) error {
	if err == nil {
		return nil
	}
	// The URL is where the token is: only what went wrong with it is kept.
	for {
		var inURL *url.Error
		if !errors.As(err, &inURL) {
			break
		}
		err = inURL.Err
	}
	words := err.Error()
	if clean := r.string(words); clean != words {
		err = withoutWords(err)
		words = clean
	}
	return &opError{op: op, words: words, err: err}
}

// withoutWords is what callers may ask about an error whose words are not fit to
// be seen.
func withoutWords(err error) error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// opError is an error that was checked for secrets.
type opError struct {
	op, words string
	err       error
}

func (e *opError) Error() string { return "telegram " + e.op + ": " + e.words }
func (e *opError) Unwrap() error { return e.err }
