package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/desk"
)

// Problem is how every error looks: an RFC 9457 problem
// (https://www.rfc-editor.org/rfc/rfc9457) with Parley's code, hint and data.
type Problem struct {
	Type   string `json:"type" doc:"Always about:blank: the code says which problem it is." example:"about:blank"`
	Title  string `json:"title" doc:"The HTTP status in words." example:"Conflict"`
	Status int    `json:"status" doc:"The HTTP status." example:"409"`
	Detail string `json:"detail" doc:"What is wrong, in full sentences."`
	// Code classes the problem for programs.
	Code inbox.Code `json:"code" doc:"What programs react to." enum:"invalid,not_found,conflict,stale,changed,version_needed,refused,unavailable,unauthorized,forbidden,internal"`
	Hint string     `json:"hint,omitempty" doc:"What to do about it."`
	// Data is data about the refusal, such as what a stale reply missed.
	Data   any                 `json:"data,omitempty" doc:"Data about the refusal: for stale, last_seq and the missed messages."`
	Errors []*huma.ErrorDetail `json:"errors,omitempty" doc:"Where exactly the request is invalid."`
}

// Internal is the code of an error that is Parley's own fault.
const Internal inbox.Code = "internal"

// Error is the problem's words.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType marks the body as a problem.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// statusOf is the one map from code to HTTP status.
var statusOf = map[inbox.Code]int{
	inbox.Invalid:      http.StatusUnprocessableEntity,
	inbox.NotFound:     http.StatusNotFound,
	inbox.Conflict:     http.StatusConflict,
	inbox.Stale:        http.StatusConflict,
	inbox.Changed:      http.StatusPreconditionFailed,
	inbox.Unversioned:  http.StatusPreconditionRequired,
	inbox.Refused:      http.StatusConflict,
	inbox.Unavailable:  http.StatusServiceUnavailable,
	inbox.Unauthorized: http.StatusUnauthorized,
	inbox.Forbidden:    http.StatusForbidden,
	Internal:           http.StatusInternalServerError,
}

// codeOf is the code of errors that huma or the mux raise by status.
func codeOf(status int) inbox.Code {
	switch {
	case status == http.StatusNotFound:
		return inbox.NotFound
	case status == http.StatusUnauthorized:
		return inbox.Unauthorized
	case status == http.StatusServiceUnavailable:
		return inbox.Unavailable
	case status >= http.StatusInternalServerError:
		return Internal
	default:
		return inbox.Invalid
	}
}

func problem(status int, detail, hint string) *Problem {
	return &Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail,
		Code: codeOf(status), Hint: hint,
	}
}

// useProblems makes huma report what it finds itself (bad JSON, missing fields)
// like we do. huma has only a package variable for that, so it is set once.
var useProblems = sync.OnceFunc(func() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		p := problem(status, sentence(msg), "")
		for _, err := range errs {
			var d huma.ErrorDetailer
			switch {
			case errors.As(err, &d):
				p.Errors = append(p.Errors, d.ErrorDetail())
			case err != nil:
				p.Errors = append(p.Errors, &huma.ErrorDetail{Message: err.Error()})
			}
		}
		// The one thing wrong is said up front.
		if len(p.Errors) > 0 {
			words := make([]string, len(p.Errors))
			for i, e := range p.Errors {
				words[i] = e.Message
				if e.Location != "" {
					words[i] = e.Location + ": " + e.Message
				}
			}
			p.Detail = sentence("The request is not valid: " + strings.Join(words, "; "))
			p.Hint = "See /api/openapi.json for what this operation takes."
		}
		return p
	}
})

// problem turns an operation's error into a problem. What is nobody's to act on
// but ours is logged and not shown.
func (a *api) problem(ctx context.Context, op string, err error) error {
	var e *inbox.Error
	if errors.As(err, &e) {
		status := statusOf[e.Code]
		if status == 0 {
			status = http.StatusInternalServerError
		}
		p := problem(status, e.Message, e.Hint)
		p.Code, p.Data = e.Code, e.Detail
		return p
	}
	var p *Problem
	if errors.As(err, &p) {
		return p // of a protocol that says which status
	}
	a.log.ErrorContext(ctx, "request failed", "operation", op, "error", err)
	if what := desk.Unreachable(err); what != "" {
		return problem(http.StatusServiceUnavailable, what+" cannot be reached.", "Try again; the server reconnects by itself.")
	}
	return problem(http.StatusInternalServerError, "Something went wrong inside Parley.", "The server's log says what.")
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}

func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" || strings.HasSuffix(text, ".") {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
