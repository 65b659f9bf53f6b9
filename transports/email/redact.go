package email

import (
	"context"
	"errors"
	"strings"

	"parley/transports"
)

// redactor takes an account's secrets out of words that leave the package.
type redactor struct{ secrets []string }

func (r redactor) string(s string, more ...string) string {
	for _, secrets := range [][]string{more, r.secrets} {
		for _, secret := range secrets {
			if secret != "" {
				s = strings.ReplaceAll(s, secret, "[redacted]")
			}
		}
	}
	return s
}

// error rebuilds err, from doing what op describes: of what it wraps only the
// causes that callers ask for are kept.
func (r redactor) error(op string, err error) error {
	if err == nil {
		return nil
	}
	e := &opError{words: "email " + op + ": " + r.string(err.Error())}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, transports.ErrCredentials} {
		if errors.Is(err, known) {
			e.err = known
		}
	}
	return e
}

// opError is an error that was checked for secrets.
type opError struct {
	words string
	err   error
}

func (e *opError) Error() string { return e.words }
func (e *opError) Unwrap() error { return e.err }
