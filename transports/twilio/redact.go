package twilio

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// redactor takes an account's secrets out of words that leave the package. The
// zero value takes out nothing.
type redactor struct{ secrets []string }

// newRedactor knows the auth tokens, plain and as they travel, and the webhook's
// path, which is part of the status callback's URL.
func newRedactor(accountSID string, tokens []string, path string) redactor {
	var r redactor
	for _, token := range tokens {
		r.secrets = append(r.secrets, token, base64.StdEncoding.EncodeToString([]byte(accountSID+":"+token)))
	}
	if path != "" {
		r.secrets = append(r.secrets, path)
	}
	// Longest first, so that one that contains another goes whole.
	slices.SortFunc(r.secrets, func(a, b string) int { return len(b) - len(a) })
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
	// The URL of a request is long and says nothing that op does not.
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

func (e *opError) Error() string { return "twilio: " + e.op + ": " + e.words }
func (e *opError) Unwrap() error { return e.err }
