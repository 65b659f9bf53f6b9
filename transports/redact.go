package transports

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// Redactor takes an account's secrets out of words that leave its adapter. The
// zero value takes out nothing.
type Redactor struct {
	prefix  string
	secrets []string // longest first, so that one that contains another goes whole
}

// NewRedactor knows an account's secrets; those that are empty are none. prefix
// begins each error that [Redactor.Error] makes, such as "telegram ".
func NewRedactor(prefix string, secrets ...string) Redactor {
	return Redactor{prefix: prefix}.With(secrets...)
}

// With is r that knows these secrets besides.
func (r Redactor) With(secrets ...string) Redactor {
	all := slices.Concat(r.secrets, secrets)
	all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
	slices.SortStableFunc(all, func(a, b string) int { return len(b) - len(a) })
	r.secrets = all
	return r
}

// Words is s without the secrets.
func (r Redactor) Words(s string) string {
	for _, secret := range r.secrets {
		s = strings.ReplaceAll(s, secret, "[redacted]")
	}
	return s
}

// Error rebuilds err, from doing what op describes, so that neither its words nor
// anything it unwraps to holds a secret. It is nil when err is.
func (r Redactor) Error(op string, err error) error {
	if err == nil {
		return nil
	}
	// The URL of a request may hold the token, is long, and says nothing that op
	// does not: only what went wrong with it is kept.
	for {
		var inURL *url.Error
		if !errors.As(err, &inURL) {
			break
		}
		err = inURL.Err
	}
	words := err.Error()
	if clean := r.Words(words); clean != words {
		err = cause(err)
		words = clean
	}
	return &redactedError{words: r.prefix + op + ": " + words, err: err}
}

// cause is what callers may ask about an error whose words are not fit to be
// seen: the one of those they act upon that it wraps, nil when it wraps none.
func cause(err error) error {
	for _, known := range []error{ErrCredentials, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// redactedError is an error that was checked for secrets.
type redactedError struct {
	words string
	err   error
}

func (e *redactedError) Error() string { return e.words }
func (e *redactedError) Unwrap() error { return e.err }
