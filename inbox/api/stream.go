package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
)

const (
	// pingEvery keeps proxies from closing a quiet stream, finds readers that are
	// gone, and tells resting ones where to resume.
	pingEvery = 15 * time.Second
	// writeWithin is how long a reader may take for what is written at once.
	writeWithin = 30 * time.Second
	// recheckEvery is how often it is looked whether a stream's session or token is
	// still good, beside being told at once; it finds those that expired.
	recheckEvery = time.Minute
)

// streams follows facts by server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (a *api) streams(h huma.API) {
	type follow struct {
		ForTenant
		Chat  int64    `query:"chat" minimum:"1" doc:"Only this chat's facts."`
		Types []string `query:"types" maxItems:"50" doc:"Only facts of these types, such as message.received, with commas."`
		After string   `query:"after" maxLength:"40" doc:"The id of the last event that was seen; 0 for all that are kept, absent for new ones only."`
		// A browser's EventSource resumes with it.
		LastEventID string `header:"Last-Event-ID" maxLength:"40" doc:"Like after, which it precedes."`
	}
	op := huma.Operation{
		OperationID: "stream", Method: http.MethodGet, Path: "/api/v1/stream", Summary: "Follow what happens",
		Description: "Server-sent events, each fact once and in order: the id is where to resume, at whichever replica; the type is " +
			"parley.<noun>.<verb>, the data a CloudEvent 1.0. The event reset says that what follows the given id is no longer kept: " +
			"load the state anew, then follow without an id. A stream ends when its session or token does.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The stream", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}
	huma.Register(h, op, func(ctx context.Context, in *follow) (*huma.StreamResponse, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		// A browser that reconnects repeats the query it began with.
		after := in.LastEventID
		if after == "" {
			after = in.After
		}
		facts, err := a.Desk.Stream(ctx, desk.StreamFrom{Tenant: tenant, Chat: in.Chat, After: after})
		if err != nil && !errors.Is(err, desk.ErrReset) {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		who := access.From(ctx)
		return &huma.StreamResponse{Body: func(hctx huma.Context) {
			hctx.SetHeader("Content-Type", "text/event-stream")
			hctx.SetHeader("Cache-Control", "no-store")
			hctx.SetHeader("X-Accel-Buffering", "no") // nginx would gather events
			_, w := humago.Unwrap(hctx)
			out := stream{w: w, ctl: http.NewResponseController(w)}
			// The server's bound on reading a request would end the stream with it.
			_ = out.ctl.SetReadDeadline(time.Time{})
			if facts == nil {
				out.send("event: reset\ndata: {}\n\n")
				return
			}
			defer facts.Close()
			if hctx.Method() == http.MethodHead {
				return // nothing of it would ever be sent
			}
			ctx, stop := context.WithCancel(hctx.Context())
			defer stop()
			defer context.AfterFunc(a.Stop, stop)()
			defer a.enter(tenant, who)()
			if who.Kind != inbox.Operator {
				go a.endWithCredential(ctx, stop, hctx.Operation(), who)
			}
			defer func() {
				if a.Stop.Err() != nil {
					// Spread out: all readers lose their server at the same moment.
					out.send(fmt.Sprintf("retry: %d\n\n", 500+rand.IntN(2500))) //nolint:gosec // no secret
				}
			}()
			out.follow(ctx, facts, func(f desk.Followed) bool {
				return maySee(who, f.Fact.Noun) && (len(in.Types) == 0 || slices.Contains(in.Types, f.Fact.Noun+"."+f.Fact.Verb))
			})
		}}, nil
	})
}

// factScopes are the scopes that facts need other than chats:read.
var factScopes = map[string]access.Rule{
	"channel":    {Role: inbox.ReadOnly, Scope: access.ReadChannels},
	"user":       {Role: inbox.ReadOnly, Scope: access.ReadUsers},
	"invitation": {Role: inbox.Admin, Scope: access.ReadUsers},
	"token":      {Role: inbox.Admin, Scope: access.ReadUsers},
	"session":    {Role: inbox.Admin, Scope: access.ReadUsers},
	"webhook":    {Role: inbox.Admin, Scope: access.ReadWebhooks},
}

// maySee reports whether facts about a noun are for who follows.
func maySee(who access.Principal, noun string) bool {
	rule, other := factScopes[noun]
	return !other || access.Judge(rule, who) == access.Allowed
}

// HiddenFacts are the nouns whose facts somebody may not see; ok is false when they
// may follow none at all. It is for ways to follow other than this API's.
func HiddenFacts(who access.Principal) (nouns []string, ok bool) {
	for noun := range factScopes {
		if !maySee(who, noun) {
			nouns = append(nouns, noun)
		}
	}
	slices.Sort(nouns)
	return nouns, access.Judge(follow.Rule, who) == access.Allowed
}

// endWithCredential stops a stream whose session or token no longer allows it.
func (a *api) endWithCredential(ctx context.Context, stop context.CancelFunc, op *huma.Operation, who access.Principal) {
	check := recheckOf(ctx)
	if check == nil {
		stop() // nobody said who follows
		return
	}
	timer := time.NewTicker(recheckEvery)
	defer timer.Stop()
	for {
		changed := a.Guard.Changed(who.Tenant) // before looking, so that nothing is missed
		now, ok, err := check(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			a.log.WarnContext(ctx, "a stream's credential could not be checked", "error", err)
		case !ok || access.Judge(ruleOf(op).Rule, now) != access.Allowed:
			stop()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-timer.C:
		}
	}
}

// stream writes events and pushes each out at once.
type stream struct {
	w   io.Writer
	ctl *http.ResponseController
	err error
}

func (s *stream) send(text string) {
	if s.err != nil {
		return
	}
	_ = s.ctl.SetWriteDeadline(time.Now().Add(writeWithin))
	if _, s.err = io.WriteString(s.w, text); s.err == nil {
		s.err = s.ctl.Flush()
	}
}

// follow writes what is wanted until the reader is gone or ctx ends.
func (s *stream) follow(ctx context.Context, facts *desk.Stream, wanted func(desk.Followed) bool) {
	s.send(": parley\n\n") // so that the reader knows that it is connected
	for s.err == nil && ctx.Err() == nil {
		wait, cancel := context.WithTimeout(ctx, pingEvery)
		list, err := facts.Next(wait)
		quiet := wait.Err() != nil
		cancel()
		var text strings.Builder
		for _, f := range list {
			if wanted(f) {
				writeEvent(&text, f)
			}
		}
		if text.Len() > 0 && ctx.Err() == nil {
			s.send(text.String())
		}
		switch {
		case errors.Is(err, desk.ErrReset):
			s.send("event: reset\ndata: {}\n\n")
			return
		case err != nil && !quiet:
			return // the reader comes back and resumes
		case err != nil && ctx.Err() == nil:
			// An id without data is no event, and still where to resume.
			s.send(": ping\nid: " + facts.Place() + "\n\n")
		}
	}
}

func writeEvent(b *strings.Builder, f desk.Followed) {
	b.WriteString("id: " + f.Resume + "\nevent: parley." + f.Fact.Noun + "." + f.Fact.Verb + "\ndata: ")
	// A line feed would end the field; JSON has none but as white space.
	b.Write(bytes.ReplaceAll(f.JSON, []byte("\n"), []byte(" ")))
	b.WriteString("\n\n")
}
