package transports

import (
	"errors"
	"fmt"
	"time"
)

// ErrForged says that a webhook request does not prove its origin.
var ErrForged = errors.New("request does not prove its origin")

// ErrNotFound is a Settler's proof that the provider never accepted a send.
var ErrNotFound = errors.New("the provider does not have the message")

// Final media failures.
var (
	ErrMediaTooLarge = errors.New("the provider does not hand out files this large")
	ErrMediaGone     = errors.New("the provider no longer has the file")
)

// ErrCredentials says that the provider refused our credentials: the one thing
// that stops a channel until a person acts. Errors of Poll, Connect, Check and
// OpenMedia wrap it; for Send see SendError.Credentials.
var ErrCredentials = errors.New("the provider refused our credentials")

// RetryAfterError is a throttled call outside of Send.
type RetryAfterError struct {
	After time.Duration
	Err   error
}

func (e *RetryAfterError) Error() string { return e.Err.Error() }
func (e *RetryAfterError) Unwrap() error { return e.Err }

// Outcome says what a failed send means for the message.
type Outcome int

// The outcomes. The zero value is the one that never causes a second send.
const (
	// Unknown: the provider may have accepted it.
	Unknown Outcome = iota
	// Retry: certainly not accepted, and it may be later.
	Retry
	// Rejected: certainly not accepted, and it never will be.
	Rejected
)

// String names the outcome as the metrics label it.
func (o Outcome) String() string {
	switch o {
	case Retry:
		return "retry"
	case Rejected:
		return "rejected"
	case Unknown:
	}
	return "uncertain"
}

// SendError is how a send fails.
type SendError struct {
	Outcome Outcome
	// Code is the provider's own code, for its documentation.
	Code string
	// Words say what happened and what to do, for the person who reads the
	// failed message. They never hold a secret.
	Words string
	// RetryAfter is the provider's wish, zero when it gave none. It holds for
	// the whole account when Throttled is AccountThrottled.
	RetryAfter time.Duration
	Throttled  ThrottleScope
	// Credentials is true when the account, not the message, was refused: the
	// channel needs attention and the message waits.
	Credentials bool
	// Unreachable is true when this person cannot be written to any more.
	Unreachable bool
	// OptedOut is true when that is because they opted out: they stay so whatever
	// they write, until the provider says otherwise.
	OptedOut bool
	// NewAddress is set when the person's address changed: the dispatcher
	// re-keys it and sends there.
	NewAddress string
	Err        error
}

// ThrottleScope says whom a RetryAfter holds back.
type ThrottleScope int

// The throttle scopes.
const (
	PersonThrottled ThrottleScope = iota
	AccountThrottled
)

func (e *SendError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s (%s)", e.Words, e.Outcome)
	}
	return fmt.Sprintf("%s (%s): %v", e.Words, e.Outcome, e.Err)
}

func (e *SendError) Unwrap() error { return e.Err }
