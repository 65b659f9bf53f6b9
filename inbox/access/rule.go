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
)

// Scopes lists all scopes.
func Scopes() []Scope {
	return []Scope{ReadChats, WriteChats, ReadChannels, WriteChannels, ReadUsers, WriteUsers, ReadAudit}
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
	if !r.Valid() {
		return Forbidden
	}
	switch p.Kind {
	case inbox.Operator:
		return Allowed
	case inbox.UserActor, inbox.TokenUser:
		switch {
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
	if r.Public {
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
