package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/desk"
)

// pingEvery keeps proxies from closing a quiet stream, and finds readers that
// are gone.
const pingEvery = 15 * time.Second

// facts streams by server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (a *api) facts(h huma.API) {
	type follow struct {
		ForTenant
		Chat  int64  `query:"chat" minimum:"1" doc:"Only this chat's facts."`
		After string `query:"after" doc:"The id of the last event that was seen; 0 for all that are kept, absent for new ones only."`
		// A browser's EventSource resumes with it.
		LastEventID string `header:"Last-Event-ID" doc:"Like after."`
	}
	op := huma.Operation{
		OperationID: "follow-facts", Method: http.MethodGet, Path: "/api/v1/facts", Summary: "Follow what happens",
		Description: "Server-sent events: the id of each is where to resume, its type parley.<noun>.<verb>, its data a CloudEvent 1.0. " +
			"A fact may come twice; the CloudEvent's id tells. The event reset says that what follows the given id is no longer kept: load the state anew.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The stream", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}
	huma.Register(h, op, func(ctx context.Context, in *follow) (*huma.StreamResponse, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		after := in.After
		if after == "" {
			after = in.LastEventID
		}
		from := desk.TailFrom{Tenant: tenant, Chat: in.Chat, New: after == ""}
		if after != "" {
			if from.After, err = strconv.ParseUint(after, 10, 64); err != nil {
				return nil, a.problem(ctx, op.OperationID, &inbox.Error{
					Code: inbox.Invalid, Message: fmt.Sprintf("%q is not where a stream can resume.", after),
					Hint: "Give the id of the last event that was seen, or 0.",
				})
			}
		}
		tail, err := a.Desk.Tail(ctx, from)
		if err != nil && !errors.Is(err, desk.ErrReset) {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		return &huma.StreamResponse{Body: func(hctx huma.Context) {
			hctx.SetHeader("Content-Type", "text/event-stream")
			hctx.SetHeader("Cache-Control", "no-store")
			out := stream{w: hctx.BodyWriter()}
			if tail == nil {
				out.send("event: reset\ndata: {}\n\n")
				return
			}
			defer tail.Close()
			ctx, stop := context.WithCancel(hctx.Context())
			defer stop()
			defer context.AfterFunc(a.Stop, stop)()
			out.follow(ctx, tail)
		}}, nil
	})
}

// stream writes events and pushes each out at once.
type stream struct {
	w   io.Writer
	err error
}

func (s *stream) send(text string) {
	if s.err != nil {
		return
	}
	if _, s.err = io.WriteString(s.w, text); s.err != nil {
		return
	}
	if f, ok := s.w.(http.Flusher); ok {
		f.Flush()
	}
}

// follow writes until the reader is gone or ctx ends.
func (s *stream) follow(ctx context.Context, tail *desk.Tail) {
	s.send(": parley\n\n") // so that the reader knows that it is connected
	for s.err == nil && ctx.Err() == nil {
		wait, cancel := context.WithTimeout(ctx, pingEvery)
		facts, err := tail.Next(wait)
		quiet := wait.Err() != nil
		cancel()
		for _, f := range facts {
			s.send(event(f))
		}
		switch {
		case errors.Is(err, desk.ErrReset):
			s.send("event: reset\ndata: {}\n\n")
			return
		case err != nil && !quiet:
			return // the reader comes back and resumes
		case err != nil:
			s.send(": ping\n\n")
		}
	}
}

func event(f desk.Followed) string {
	data, err := json.Marshal(f.Fact)
	if err != nil {
		return "" // its data is no JSON: PostgreSQL does not store that
	}
	var b strings.Builder
	fmt.Fprintf(&b, "id: %d\nevent: parley.%s.%s\n", f.Resume, f.Fact.Noun, f.Fact.Verb)
	// A line feed would end the field; JSON has none but as white space.
	fmt.Fprintf(&b, "data: %s\n\n", bytes.ReplaceAll(data, []byte("\n"), []byte(" ")))
	return b.String()
}
