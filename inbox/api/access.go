package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

// Public makes the handler of everything under /api/ for whoever can reach it:
// people with a session's cookie and programs with a token. Options.Guard is
// required.
func Public(o Options) http.Handler {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := mux(o)
	if o.Pages != nil {
		all := http.NewServeMux()
		all.Handle("/api/", h)
		all.Handle("/", o.Pages)
		h = all
	}
	h = identify(o, log, h)
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p := problem(http.StatusForbidden, "The request comes from another site.", "Send it from Parley's own pages, or with a token from a program.")
		p.Code = inbox.Forbidden
		writeProblem(w, p)
	}))
	protected := origin.Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store") // media.Serve says otherwise for files
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		protected.ServeHTTP(w, r)
	})
}

type operatorKey struct{}

// ByOperator returns the context of a connection that an account of the server's
// machine made, as the kernel says: its number and name.
func ByOperator(ctx context.Context, id, name string) context.Context {
	return context.WithValue(ctx, operatorKey{}, inbox.Actor{ID: id, Name: name})
}

// asOperator lets whoever gets there act as the operator.
func asOperator(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by, known := r.Context().Value(operatorKey{}).(inbox.Actor)
		if !known {
			by.Name = "operator"
		}
		by.Kind, by.RequestID, by.UserAgent = inbox.Operator, requestID(w), store.CutUserAgent(r.UserAgent())
		h.ServeHTTP(w, r.WithContext(access.With(r.Context(), access.Principal{Actor: by, Role: inbox.Owner})))
	})
}

func requestID(w http.ResponseWriter) string {
	id := rand.Text()
	w.Header().Set("X-Request-Id", id)
	return id
}

// identify finds who makes a request. Credentials that stand for nobody are
// refused at once, so that a program with a revoked token is not told that it
// never had any.
func identify(o Options, log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address := o.Proxies.Client(r)
		id := requestID(w)
		// Before the credential is looked up, so that guessing costs little.
		if o.Limits != nil && tooFast(w, o.Limits.Address, access.AddressKey(address)) {
			return
		}
		p := access.Principal{Actor: inbox.Actor{Kind: inbox.Anonymous}}
		if text, given := credential(r, o.HTTPS); given {
			known, ok, err := o.Guard.Identify(r.Context(), text)
			switch {
			case err != nil:
				log.ErrorContext(r.Context(), "who is asking could not be found out", "request", id, "error", err)
				writeProblem(w, problem(http.StatusServiceUnavailable, "Parley cannot find out who is asking just now.", "Try again."))
				return
			case ok:
				p = known
			case r.Header.Get("Authorization") != "":
				writeProblem(w, unauthorized(w, "The token is not valid: it is not complete, has expired, or was revoked."))
				return
			}
			// A cookie that is no longer good is no obstacle to logging in.
		}
		if o.Limits != nil && tooFastFor(w, o.Limits, p) {
			return
		}
		p.Address, p.UserAgent, p.RequestID = address, store.CutUserAgent(r.UserAgent()), id
		ctx := access.With(r.Context(), p)
		if text, given := credential(r, o.HTTPS); given && p.Tenant != "" {
			ctx = context.WithValue(ctx, recheckKey{}, recheck(func(ctx context.Context) (access.Principal, bool, error) {
				return o.Guard.Identify(ctx, text)
			}))
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// recheck finds out anew who a request's credential stands for: streams outlast
// what was true when they began.
type recheck func(context.Context) (access.Principal, bool, error)

type recheckKey struct{}

// recheckOf is nil for the operator and for nobody.
func recheckOf(ctx context.Context) recheck {
	check, _ := ctx.Value(recheckKey{}).(recheck)
	return check
}

// credential is a request's bearer token, or else its cookie. Sessions are no
// bearer tokens, and tokens no cookies.
func credential(r *http.Request, https bool) (text string, given bool) {
	if h := r.Header.Get("Authorization"); h != "" {
		scheme, text, _ := strings.Cut(h, " ")
		if !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(text, string(access.TokenKind)) {
			return "", true
		}
		return text, true
	}
	c, err := r.Cookie(access.CookieName(https))
	if err != nil || !strings.HasPrefix(c.Value, string(access.SessionKind)) {
		return "", false
	}
	return c.Value, true
}

func unauthorized(w http.ResponseWriter, words string) *Problem {
	w.Header().Set("WWW-Authenticate", `Bearer realm="Parley"`) // RFC 9110, section 11.6.1
	return problem(http.StatusUnauthorized, words, "Log in, or send a token: Authorization: Bearer parley_tok_…")
}

// authorize keeps an operation's rule, before anything of its input is looked
// at, and has the audit log note what is done.
func (a *api) authorize(hctx huma.Context, next func(huma.Context)) {
	op := hctx.Operation()
	rule := ruleOf(op)
	p := access.From(hctx.Context())
	_, w := humago.Unwrap(hctx)
	switch access.Judge(rule.Rule, p) {
	case access.Allowed:
	case access.Unknown:
		writeProblem(w, unauthorized(w, "Nobody is logged in."))
		return
	case access.Forbidden:
		pr := problem(http.StatusForbidden, fmt.Sprintf("This is not allowed to %s.", whoIs(p)), needs(rule.Rule))
		pr.Code = inbox.Forbidden
		writeProblem(w, pr)
		return
	}
	if rule.log != "" {
		hctx = noting(hctx, rule.log, p)
	}
	next(hctx)
}

func whoIs(p access.Principal) string {
	if p.Kind == inbox.TokenUser {
		return fmt.Sprintf("this token, whose role is %s and whose scopes are %s", p.Role, strings.Join(p.Scopes, " "))
	}
	return "the role " + string(p.Role)
}

func needs(r access.Rule) string {
	switch {
	case r.Operator:
		return "It is for the command line on the server's machine."
	case r.Scope == "":
		return fmt.Sprintf("It takes somebody who logged in with the role %s or more.", r.Role)
	}
	return fmt.Sprintf("It takes the role %s or more, and of a token the scope %s.", r.Role, r.Scope)
}

// noting has what an operation changes noted in the transaction that changes it.
func noting(hctx huma.Context, action string, p access.Principal) huma.Context {
	e := store.NewAuditEntry{Action: action}
	e.TargetKind, _, _ = strings.Cut(action, ".")
	for _, param := range hctx.Operation().Parameters {
		if param.In == "path" {
			e.TargetID = hctx.Param(param.Name)
		}
	}
	return huma.WithContext(hctx, store.WithNote(hctx.Context(), &store.Note{By: p.Actor, Entry: e}))
}

// tenantOf is the tenant of who asks. Another one's name is not found, whether or
// not there is one.
func tenantOf(p access.Principal, in ForTenant) (events.TenantID, error) {
	if p.Tenant == "" {
		return "", &inbox.Error{Code: inbox.Unauthorized, Message: "Nobody is logged in.", Hint: "Log in, or send a token."}
	}
	if in.Tenant != "" && !strings.EqualFold(in.Tenant, string(p.Tenant)) {
		return "", &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no tenant %q.", in.Tenant), Hint: "Leave Parley-Tenant out: you are in one tenant."}
	}
	return p.Tenant, nil
}

// numbered reads a cursor that is an id.
func numbered(cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || n <= 0 {
		return 0, &inbox.Error{Code: inbox.Invalid, Message: "The cursor is not one of ours.", Hint: "Use the next of the page before, or none for the first."}
	}
	return n, nil
}

// page cuts a list that was read with one more than limit, and says where the
// next page begins.
func page[T any](items []T, limit int, cursor func(T) string) List[T] {
	next := ""
	if len(items) > limit {
		items = items[:limit]
		next = cursor(items[limit-1])
	}
	return list(items, next)
}

// Paged is a page's place.
type Paged struct {
	Cursor string `query:"cursor" maxLength:"100" doc:"The next of the page before; none for the first."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many."`
}

// ForKey makes a create that is repeated create once.
type ForKey struct {
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"The same key with the same request creates once."`
}

// retryAfter is how long a refusal lasts, 0 when time does not mend it.
func retryAfter(err error) time.Duration {
	var e *inbox.Error
	if errors.As(err, &e) {
		if r, ok := e.Detail.(access.RetryAfter); ok {
			return r.Wait
		}
	}
	return 0
}
