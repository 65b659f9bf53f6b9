package twilio

import (
	"errors"
	"net/http"
	"strconv"

	"parley/transports"
)

// sendError says what a failed request means for the message. Left says whether
// all of the request may have left.
func (n *Number) sendError(err error, left bool) *transports.SendError {
	var refused *apiError
	if !errors.As(err, &refused) {
		if left {
			return &transports.SendError{Outcome: transports.Unknown, Words: "Twilio did not answer: the message may have been sent", Err: err}
		}
		return &transports.SendError{Outcome: transports.Retry, Words: "Twilio could not be reached", Err: err}
	}
	e := &transports.SendError{Code: refused.code(), Words: refused.Words, Err: err}
	known, ok := n.errors[refused.Code]
	switch {
	case refused.Status >= 500:
		e.Outcome = transports.Unknown
		e.Words = "Twilio had an internal error: the message may have been sent"
	case refused.throttled():
		e.Outcome, e.RetryAfter, e.Throttled = transports.Retry, refused.RetryAfter, transports.AccountThrottled
		e.Words = "Twilio asks to slow down"
	case ok:
		e.Outcome, e.Words = known.outcome, known.words
		e.Unreachable, e.OptedOut, e.Credentials = known.unreachable, known.optedOut, known.credentials
		if e.Outcome == transports.Retry {
			e.RetryAfter, e.Throttled = refused.RetryAfter, known.throttles
		}
	case refused.badCredentials(), refused.Code == 20404:
		// The account's SID is all of the path that could be wrong.
		e.Outcome, e.Credentials = transports.Retry, true
		e.Words = "Twilio refused the account SID and auth token"
	case refused.Status == http.StatusRequestTimeout:
		e.Outcome = transports.Unknown
		e.Words = "Twilio did not answer in time: the message may have been sent"
	case refused.Code == 0:
		e.Outcome = transports.Retry
		e.Words = "something in front of Twilio refused the request: " + refused.Words
	default:
		// A code that is not known yet: refused for sure, and nobody can say whether
		// it would be again.
		e.Outcome = transports.Rejected
		e.Words = "Twilio refused the message: " + refused.Words
	}
	return e
}

// code is what a person looks up: Twilio's own, else the status.
func (e *apiError) code() string {
	if e.Code != 0 {
		return strconv.Itoa(e.Code)
	}
	return strconv.Itoa(e.Status)
}

// reason is what a message that failed later failed for: words of the table,
// else those that came with it.
func (n *Number) reason(code, words string) string {
	if number, err := strconv.Atoi(code); err == nil {
		if known, ok := n.errors[number]; ok {
			return known.words
		}
	}
	switch {
	case words != "":
		return n.redact.Words(words)
	case code != "":
		return "Twilio's error " + code + " (https://www.twilio.com/docs/api/errors/" + code + ")"
	}
	return ""
}
