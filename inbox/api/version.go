package api

import (
	"context"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
)

// ForVersion keeps a change from overwriting somebody else's. Embed it in what a
// change takes, and hand version, or needed, to the store.
type ForVersion struct {
	IfMatch string `header:"If-Match" maxLength:"40" doc:"The ETag that was read, such as \"3\": when it was changed since, nothing happens and the answer is 412. * changes whatever is there."`
}

// version is the one that was read, 0 for any.
func (v ForVersion) version() (int64, error) {
	if v.IfMatch == "" || v.IfMatch == "*" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.Trim(v.IfMatch, `"`), 10, 64)
	if err != nil || n < 1 {
		return 0, &inbox.Error{Code: inbox.Invalid, Message: "The If-Match is no version of ours.", Hint: `Give the version that was read, such as "3".`}
	}
	return n, nil
}

// needed is version where the change must say which one it is of: 428 when it
// does not (RFC 6585, section 3).
func (v ForVersion) needed() (int64, error) {
	if v.IfMatch == "" {
		return 0, &inbox.Error{
			Code: inbox.Unversioned, Message: "The request does not say which version it changes, and could undo what somebody else has just changed.",
			Hint: `Read it first and send its ETag back, such as If-Match: "3"; or If-Match: * to change whatever is there.`,
		}
	}
	return v.version()
}

// Tagged is a body with the version that If-Match takes.
type Tagged[T any] struct {
	ETag string `header:"ETag" doc:"The version, for If-Match."`
	Body T
}

// handleTagged is handle for what has a version.
func handleTagged[I, O any](a *api, h huma.API, op huma.Operation, version func(O) int64, f func(context.Context, *I) (O, error)) {
	huma.Register(h, op, func(ctx context.Context, in *I) (*Tagged[O], error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		return &Tagged[O]{ETag: strconv.Quote(strconv.FormatInt(version(out), 10)), Body: out}, nil
	})
}
