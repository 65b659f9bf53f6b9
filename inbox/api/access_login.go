package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

// Me is who asks.
type Me struct {
	Kind   inbox.ActorKind `json:"kind" enum:"user,token,operator"`
	ID     string          `json:"id,omitempty" doc:"The user's, or the token's."`
	Name   string          `json:"name"`
	Role   inbox.Role      `json:"role" enum:"owner,admin,agent,read_only"`
	Tenant events.TenantID `json:"tenant,omitempty"`
	Scopes []string        `json:"scopes,omitempty" doc:"Of a token: what it is for."`
}

// cookied is a body with a cookie to keep, or to forget.
type cookied[T any] struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      T
}

type logIn struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		Tenant   string `json:"tenant,omitempty" maxLength:"200" doc:"The tenant's id or name; may be left out where there is only one."`
		Email    string `json:"email" maxLength:"255"`
		Password string `json:"password" maxLength:"1024"`
		Code     string `json:"code,omitempty" maxLength:"10" doc:"Of the second factor, where there is one."`
	}
}

func (a *api) sessions(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "log-in", Method: http.MethodPost, Path: "/api/v1/session", Summary: "Log in",
		Description:   "Sets the session's cookie. Whatever is wrong, the answer is the same. Who fails often has to wait: 429 with Retry-After.",
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *logIn) (*cookied[store.Account], error) {
		b := &in.Body
		tenant, err := a.Guard.Tenant(ctx, b.Tenant)
		if err != nil {
			return nil, a.problem(ctx, "log-in", err)
		}
		c, account, err := a.Guard.LogIn(ctx, access.Attempt{
			Tenant: tenant, Email: b.Email, Password: b.Password, Code: b.Code, UserAgent: in.UserAgent, By: access.From(ctx).Actor,
		})
		if err != nil {
			return nil, a.throttled(ctx, "log-in", err)
		}
		return &cookied[store.Account]{SetCookie: *access.SessionCookie(c.Text, a.HTTPS), Body: account}, nil
	})
	huma.Register(h, huma.Operation{
		OperationID: "log-out", Method: http.MethodDelete, Path: "/api/v1/session", Summary: "Log out", DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, _ *struct{}) (*cookied[struct{}], error) {
		p := access.From(ctx)
		if p.Session != "" {
			if err := a.Desk.Store.EndSession(ctx, p.Tenant, p.Actor, p.Session); err != nil {
				return nil, a.problem(ctx, "log-out", err)
			}
		}
		return &cookied[struct{}]{SetCookie: *access.SessionCookie("", a.HTTPS)}, nil
	})
	handle(a, h, huma.Operation{
		OperationID: "me", Method: http.MethodGet, Path: "/api/v1/me", Summary: "Say who asks",
	}, func(ctx context.Context, _ *struct{}) (Me, error) {
		p := access.From(ctx)
		return Me{Kind: p.Kind, ID: p.ID, Name: p.Name, Role: p.Role, Tenant: p.Tenant, Scopes: p.Scopes}, nil
	})
	type factor struct {
		Secret string `json:"secret" doc:"In base32, to type in."`
		URL    string `json:"url" doc:"For an authenticator app, as a QR code."`
	}
	handle(a, h, huma.Operation{
		OperationID: "begin-second-factor", Method: http.MethodPost, Path: "/api/v1/me/second-factor", Summary: "Make a secret for a second factor",
		Description: "Nothing is stored yet: confirm it with a code.",
	}, func(ctx context.Context, _ *struct{}) (factor, error) {
		account, err := a.Desk.Store.Account(ctx, access.From(ctx).Tenant, access.From(ctx).User)
		if err != nil {
			return factor{}, err
		}
		secret, url, err := access.NewTOTP(account.Email)
		return factor{Secret: secret, URL: url}, err
	})
	type confirm struct {
		Body struct {
			Secret string `json:"secret" minLength:"32" maxLength:"64"`
			Code   string `json:"code" maxLength:"10" doc:"What the app shows for the secret."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "confirm-second-factor", Method: http.MethodPut, Path: "/api/v1/me/second-factor", Summary: "Ask for a code at every log-in from now on",
		Description: "Only a reset link takes it away again.",
	}, func(ctx context.Context, in *confirm) (store.Account, error) {
		return a.Guard.AddTOTP(ctx, access.From(ctx), in.Body.Secret, in.Body.Code)
	})
}

// throttled is a problem with 429 where time mends it.
func (a *api) throttled(ctx context.Context, op string, err error) error {
	wait := retryAfter(err)
	problem := a.problem(ctx, op, err)
	if p, ok := problem.(*Problem); ok && wait > 0 { //nolint:errorlint // made one line above
		p.Status, p.Title, p.Data = http.StatusTooManyRequests, http.StatusText(http.StatusTooManyRequests), nil
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {strconv.Itoa(int(wait/time.Second) + 1)}})
	}
	return problem
}
