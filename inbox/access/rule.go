package access

import (
	"context"
	"slices"

	"parley/events"
	"parley/inbox"
)

// Scope is a part of the API that a token is for.
type Scope string

// The scopes. A token has those that it was made with; who logged in has all
// that their role allows.
const (
	ReadChats     Scope = "chats:read"
	WriteChats    Scope = "chats:write"
	ReadChannels  Scope = "channels:read"
	WriteChannels Scope = "channels:write"
	ReadUsers     Scope = "users:read"
	WriteUsers    Scope = "users:write"
	ReadAudit     Scope = "audit:read"
	ReadWebhooks  Scope = "webhooks:read"
	WriteWebhooks Scope = "webhooks:write"
)

// Scopes lists all scopes.
func Scopes() []Scope {
	return []Scope{ReadChats, WriteChats, ReadChannels, WriteChannels, ReadUsers, WriteUsers, ReadAudit, ReadWebhooks, WriteWebhooks}
}

// Rule is who may call an operation. The zero rule lets nobody in.
type Rule struct {
	// Public operations need no credentials: logging in.
	Public bool
	// Operator operations are for the command line on the server's machine.
	Operator bool
	// Role is the least role, Scope what a token must have. A rule with a role and
	// no scope is for people who logged in, and for no token.
	Role  inbox.Role
	Scope Scope
}

// Valid reports whether the rule says who.
func (r Rule) Valid() bool {
	switch {
	case r.Public, r.Operator:
		return r.Public != r.Operator && r.Role == "" && r.Scope == ""
	case r.Scope != "" && !slices.Contains(Scopes(), r.Scope):
		return false
	}
	return r.Role.Valid()
}

// Principal is who makes a request. Without one nothing is allowed.
type Principal struct {
	inbox.Actor
	// Tenant is whose, empty for the operator, who may act in each.
	Tenant events.TenantID
	User   int64
	Role   inbox.Role
	// Scopes are a token's; Session is the session's id of who logged in.
	Scopes  []string
	Session string
}

// Verdict is what a rule says of a request.
type Verdict int

// The verdicts; the zero one lets nobody in.
const (
	// Unknown: nobody says who they are.
	Unknown Verdict = iota
	// Forbidden: they may not.
	Forbidden
	Allowed
)

// Judge applies a rule to a principal.
func Judge(r Rule, p Principal) Verdict {
	switch p.Kind {
	case inbox.Operator:
		return Allowed // whoever may open the socket may open the database, too
	case inbox.UserActor, inbox.TokenUser:
		switch {
		case !r.Valid():
			return Forbidden
		case r.Public:
			return Allowed
		case r.Operator, !p.Role.AtLeast(r.Role):
			return Forbidden
		case p.Kind == inbox.TokenUser && (r.Scope == "" || !slices.Contains(p.Scopes, string(r.Scope))):
			return Forbidden
		}
		return Allowed
	case inbox.Anonymous:
	}
	if r.Public && r.Valid() {
		return Allowed
	}
	return Unknown
}

type principalKey struct{}

// With returns a context that carries who makes the request.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// From is who makes the request; nobody when the context does not say.
func From(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

// CheckScopes refuses scopes that do not exist, and of a token those that it has
// not itself. It returns them as text, sorted and each once.
func CheckScopes(scopes []Scope, by Principal) ([]string, error) {
	var list []string
	for _, s := range scopes {
		if !slices.Contains(Scopes(), s) {
			return nil, &inbox.Error{Code: inbox.Invalid, Message: "There is no scope " + string(s) + ".", Hint: "The scopes are chats:read, chats:write, channels:read, channels:write, users:read, users:write, audit:read, webhooks:read and webhooks:write."}
		}
		if by.Kind == inbox.TokenUser && !slices.Contains(by.Scopes, string(s)) {
			return nil, &inbox.Error{Code: inbox.Forbidden, Message: "A token may not make one with scopes that it has not itself.", Hint: "Log in and make it."}
		}
		list = append(list, string(s))
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}
