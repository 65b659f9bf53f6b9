package inbox

import "errors"

// Code classes an error for whoever has to react to it; inbox/api maps each to
// one HTTP status.
type Code string

// The codes.
const (
	Invalid      Code = "invalid"        // the request can never work as it is
	NotFound     Code = "not_found"      // nothing of that name in this tenant
	Conflict     Code = "conflict"       // it collides with what is there
	Stale        Code = "stale"          // the caller has not seen the newest state
	Changed      Code = "changed"        // somebody else has changed it since the caller read it
	Unversioned  Code = "version_needed" // which version does it change?
	Refused      Code = "refused"        // a rule forbids it now: opted out, window closed, blocked
	Unavailable  Code = "unavailable"    // something it needs is down; try again
	Unauthorized Code = "unauthorized"   // who is asking?
	Forbidden    Code = "forbidden"      // they may not
)

// Error is an error that its reader can act on.
type Error struct {
	Code Code
	// Message says what is wrong in a full sentence.
	Message string
	// Hint says what to do, empty when nothing can be done.
	Hint string
	// Detail is data about the refusal for programs, such as what was missed.
	Detail any
	Err    error
}

func (e *Error) Error() string {
	s := e.Message
	if e.Hint != "" {
		s += " " + e.Hint
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf is err's code, or empty when it is not an *Error.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
