package transports

import (
	"errors"
	"io"
)

// LimitBody is a download of at most most bytes: one that goes on beyond them
// fails with ErrMediaTooLarge. Errors are redacted, as from doing op.
func LimitBody(body io.ReadCloser, most int64, redact Redactor, op string) io.ReadCloser {
	return &limitedBody{ReadCloser: body, left: most, redact: redact, op: op}
}

type limitedBody struct {
	io.ReadCloser
	left   int64
	redact Redactor
	op     string
}

// Read implements [io.Reader].
func (l *limitedBody) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, l.redact.Error(l.op, ErrMediaTooLarge)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = l.redact.Error(l.op, err)
	}
	return n, err
}
