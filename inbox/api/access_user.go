package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

// Link is an invitation that was just made. Its link is shown this once.
type Link struct {
	store.Invitation
	Link string `json:"link,omitempty" doc:"What to hand to them. It is shown once: absent when the Idempotency-Key made it before."`
}

// UserRef names a user.
type UserRef struct {
	ForTenant
	User int64 `path:"user" minimum:"1" doc:"The user's id."`
}

// IDRef names a thing by its id.
type IDRef struct {
	ForTenant
	ID string `path:"id" maxLength:"36" doc:"Its id."`
}

func userVersion(u store.Account) int64 { return u.Version }

// nothing is the body of what has no answer but that it was done.
type nothing struct{}

func (a *api) users(h huma.API) {
	type listUsers struct {
		ForTenant
		Paged
	}
	handle(a, h, huma.Operation{
		OperationID: "list-users", Method: http.MethodGet, Path: "/api/v1/users", Summary: "List users by id",
	}, func(ctx context.Context, in *listUsers) (List[store.Account], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[store.Account]{}, err
		}
		after, err := numbered(in.Cursor)
		if err != nil {
			return List[store.Account]{}, err
		}
		users, err := a.Desk.Store.Accounts(ctx, tenant, after, in.Limit+1)
		return page(users, in.Limit, func(u store.Account) string { return strconv.FormatInt(u.ID, 10) }), err
	})
	handleTagged(a, h, huma.Operation{
		OperationID: "get-user", Method: http.MethodGet, Path: "/api/v1/users/{user}", Summary: "Show a user",
	}, userVersion, func(ctx context.Context, in *UserRef) (store.Account, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return store.Account{}, err
		}
		return a.Desk.Store.Account(ctx, tenant, in.User)
	})
	type change struct {
		UserRef
		ForVersion
		Body struct {
			Role     *inbox.Role `json:"role,omitempty" enum:"owner,admin,agent,read_only"`
			Disabled *bool       `json:"disabled,omitempty" doc:"Whether they are kept out; their sessions end."`
		}
	}
	handleTagged(a, h, huma.Operation{
		OperationID: "change-user", Method: http.MethodPatch, Path: "/api/v1/users/{user}", Summary: "Change a user's role, or keep them out",
		Description: "Only an owner changes who is an owner, and the last one stays.",
	}, userVersion, func(ctx context.Context, in *change) (store.Account, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return store.Account{}, err
		}
		version, err := in.needed()
		if err != nil {
			return store.Account{}, err
		}
		p := access.From(ctx)
		return a.Desk.Store.ChangeAccount(ctx, tenant, p.Actor, p.Role, in.User, store.AccountChange{
			Role: in.Body.Role, Disabled: in.Body.Disabled, Version: version,
		})
	})
	type reset struct {
		UserRef
		ForKey
	}
	handle(a, h, huma.Operation{
		OperationID: "reset-user", Method: http.MethodPost, Path: "/api/v1/users/{user}/reset", Summary: "Make a link to choose a new password",
		Description:   "Using it ends their sessions and takes their second factor away.",
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *reset) (Link, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return Link{}, err
		}
		return a.link(ctx, tenant, store.NewInvitation{User: in.User, Life: access.ResetLife, Key: in.Key})
	})
}

// link makes an invitation.
func (a *api) link(ctx context.Context, tenant events.TenantID, n store.NewInvitation) (Link, error) {
	c, err := access.NewCredential(access.InvitationKind, tenant)
	if err != nil {
		return Link{}, err
	}
	n.Hash = c.Hash()
	p := access.From(ctx)
	v, made, err := a.Desk.Store.Invite(ctx, tenant, p.Actor, p.Role, n)
	out := Link{Invitation: v}
	if made {
		out.Link = access.InvitationLink(a.URL, c)
	}
	return out, err
}

func (a *api) invitations(h huma.API) {
	type listInvitations struct {
		ForTenant
		Paged
	}
	handle(a, h, huma.Operation{
		OperationID: "list-invitations", Method: http.MethodGet, Path: "/api/v1/invitations", Summary: "List invitations and reset links",
	}, func(ctx context.Context, in *listInvitations) (List[store.Invitation], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[store.Invitation]{}, err
		}
		after, err := identified(in.Cursor)
		if err != nil {
			return List[store.Invitation]{}, err
		}
		vs, err := a.Desk.Store.Invitations(ctx, tenant, after, in.Limit+1)
		return page(vs, in.Limit, func(v store.Invitation) string { return v.ID }), err
	})
	type invite struct {
		ForTenant
		ForKey
		Body struct {
			Email string     `json:"email" format:"email" maxLength:"255" doc:"What they will log in with."`
			Role  inbox.Role `json:"role" enum:"owner,admin,agent,read_only"`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "invite", Method: http.MethodPost, Path: "/api/v1/invitations", Summary: "Invite somebody",
		Description: "Nobody invites to a higher role than their own.", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *invite) (Link, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return Link{}, err
		}
		return a.link(ctx, tenant, store.NewInvitation{Email: in.Body.Email, Role: in.Body.Role, Life: access.InvitationLife, Key: in.Key})
	})
	handle(a, h, huma.Operation{
		OperationID: "revoke-invitation", Method: http.MethodDelete, Path: "/api/v1/invitations/{id}", Summary: "Revoke an invitation",
		DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, in *IDRef) (nothing, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return nothing{}, err
		}
		return nothing{}, a.Desk.Store.RevokeInvitation(ctx, tenant, access.From(ctx).Actor, in.ID)
	})
	type accept struct {
		Body struct {
			Invitation string `json:"invitation" maxLength:"200" doc:"The link's part after #."`
			Name       string `json:"name,omitempty" maxLength:"255" doc:"Of who joins."`
			Email      string `json:"email,omitempty" maxLength:"255" doc:"Of who joins, where the invitation does not say."`
			Password   string `json:"password" maxLength:"1024"`
		}
	}
	huma.Register(h, huma.Operation{
		OperationID: "accept-invitation", Method: http.MethodPost, Path: "/api/v1/invitations/accept", Summary: "Join, or choose a new password",
		Description: "An invitation works once. Whatever is wrong with it, the answer is the same. Then log in.",
	}, func(ctx context.Context, in *accept) (*Body[store.Account], error) {
		b := &in.Body
		account, err := a.Guard.Accept(ctx, access.From(ctx).Actor, b.Invitation, store.Acceptance{Name: b.Name, Email: b.Email}, b.Password)
		if err != nil {
			return nil, a.throttled(ctx, "accept-invitation", err)
		}
		return &Body[store.Account]{Body: account}, nil
	})
}
