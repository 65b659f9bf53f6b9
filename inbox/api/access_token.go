package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

// MadeToken is a token that was just made. Its secret is shown this once.
type MadeToken struct {
	store.Token
	Secret string `json:"secret,omitempty" doc:"The token itself. It is shown once: absent when the Idempotency-Key made it before."`
}

// identified reads a cursor that is a UUID.
func identified(cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	id, err := uuid.Parse(cursor)
	if err != nil {
		return "", &inbox.Error{Code: inbox.Invalid, Message: "The cursor is not one of ours.", Hint: "Use the next of the page before, or none for the first."}
	}
	return id.String(), nil
}

func (a *api) tokens(h huma.API) {
	type listTokens struct {
		ForTenant
		Paged
	}
	handle(a, h, huma.Operation{
		OperationID: "list-tokens", Method: http.MethodGet, Path: "/api/v1/tokens", Summary: "List tokens",
	}, func(ctx context.Context, in *listTokens) (List[store.Token], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[store.Token]{}, err
		}
		after, err := identified(in.Cursor)
		if err != nil {
			return List[store.Token]{}, err
		}
		ts, err := a.Desk.Store.Tokens(ctx, tenant, after, in.Limit+1)
		return page(ts, in.Limit, func(t store.Token) string { return t.ID }), err
	})
	type add struct {
		ForTenant
		ForKey
		Body struct {
			Name   string         `json:"name" minLength:"1" maxLength:"100" doc:"What the program is called."`
			Role   inbox.Role     `json:"role" enum:"admin,agent,read_only" doc:"What it may do at most."`
			Scopes []access.Scope `json:"scopes" minItems:"1" maxItems:"20" doc:"What it is for: chats:read, chats:write, channels:read, channels:write, users:read, users:write, audit:read."`
			Days   int            `json:"days,omitempty" minimum:"1" maximum:"366" default:"90" doc:"How long it is valid."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "add-token", Method: http.MethodPost, Path: "/api/v1/tokens", Summary: "Make a token for a program",
		Description: "The program acts as a user of its own.", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *add) (MadeToken, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return MadeToken{}, err
		}
		p := access.From(ctx)
		scopes, err := access.CheckScopes(in.Body.Scopes, p)
		if err != nil {
			return MadeToken{}, err
		}
		if !p.Role.AtLeast(in.Body.Role) {
			return MadeToken{}, &inbox.Error{Code: inbox.Forbidden, Message: "A token may not do more than who makes it.", Hint: "Ask an owner."}
		}
		c, err := access.NewCredential(access.TokenKind, tenant)
		if err != nil {
			return MadeToken{}, err
		}
		t, made, err := a.Desk.Store.AddToken(ctx, tenant, p.Actor, store.NewToken{
			Name: in.Body.Name, Role: in.Body.Role, Scopes: scopes, Hash: c.Hash(), Prefix: c.Shown(),
			Life: time.Duration(in.Body.Days) * 24 * time.Hour, Key: in.Key,
		})
		out := MadeToken{Token: t}
		if made {
			out.Secret = c.Text
		}
		return out, err
	})
	handle(a, h, huma.Operation{
		OperationID: "revoke-token", Method: http.MethodDelete, Path: "/api/v1/tokens/{id}", Summary: "Revoke a token", DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, in *IDRef) (nothing, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return nothing{}, err
		}
		return nothing{}, a.Desk.Store.RevokeToken(ctx, tenant, access.From(ctx).Actor, in.ID)
	})
}
