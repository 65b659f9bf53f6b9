package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
)

// oidcCookie keeps a sign-in under way. Over https only this very host can set it: a
// neighbour's page would otherwise have people finish a sign-in that the neighbour
// began. The price is that it is sent everywhere; over http it is not.
const (
	oidcCookie       = "parley_oidc"
	secureOIDCCookie = "__Host-parley_oidc"
	oidcPath         = "/api/v1/session/oidc"
)

// OIDCBegin is where people begin to sign in, below the API's URL.
const OIDCBegin = oidcPath

// OIDCReturn is where the provider sends people back to, below the API's URL.
const OIDCReturn = oidcPath + "/return"

// redirect sends a browser elsewhere with cookies.
type redirect struct {
	Status    int
	Location  string        `header:"Location"`
	SetCookie []http.Cookie `header:"Set-Cookie"`
}

func (a *api) oidcCookie(value string) http.Cookie {
	c := http.Cookie{ //nolint:gosec // Secure wherever people come by https
		Name: oidcCookie, Value: value, Path: oidcPath, HttpOnly: true, Secure: a.HTTPS,
		SameSite: http.SameSiteLaxMode, // the provider's redirect must bring it
		MaxAge:   int(access.SignInTime.Seconds()),
	}
	if a.HTTPS {
		c.Name, c.Path = secureOIDCCookie, "/"
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// errNoOIDC is what an installation without a provider answers.
var errNoOIDC = &inbox.Error{
	Code: inbox.NotFound, Message: "Nobody signs in by another provider here.",
	Hint: "Log in with a password. The operator sets a provider up with --oidc-issuer.",
}

func (a *api) signIns(h huma.API) {
	type begin struct {
		Tenant string `query:"tenant" maxLength:"200" doc:"The tenant's id or name; may be left out where there is only one."`
	}
	huma.Register(h, huma.Operation{
		OperationID: "begin-sign-in", Method: http.MethodGet, Path: oidcPath, Summary: "Sign in by the OpenID Connect provider", DefaultStatus: http.StatusSeeOther,
		Description: "For browsers: sends them to the provider, which sends them back. Who signs in was invited and joined before.",
	}, func(ctx context.Context, in *begin) (*redirect, error) {
		if a.OIDC == nil {
			return nil, a.problem(ctx, "begin-sign-in", errNoOIDC)
		}
		tenant, err := a.Guard.Tenant(ctx, in.Tenant)
		if err != nil {
			return nil, a.problem(ctx, "begin-sign-in", err)
		}
		target, kept, err := a.OIDC.Begin(ctx, tenant)
		if err != nil {
			return nil, a.problem(ctx, "begin-sign-in", err)
		}
		return &redirect{Status: http.StatusSeeOther, Location: target, SetCookie: []http.Cookie{a.oidcCookie(kept)}}, nil
	})
	// What providers send along is listed, or it would be refused as unknown.
	type finish struct {
		Kept         string `cookie:"parley_oidc" doc:"Where people come by plain http."`
		KeptSecure   string `cookie:"__Host-parley_oidc" doc:"Where people come by https."`
		UserAgent    string `header:"User-Agent"`
		State        string `query:"state" maxLength:"200"`
		Code         string `query:"code" maxLength:"4096"`
		Issuer       string `query:"iss" maxLength:"500"`
		Error        string `query:"error" maxLength:"200"`
		Description  string `query:"error_description" maxLength:"2000"`
		URI          string `query:"error_uri" maxLength:"2000"`
		SessionState string `query:"session_state" maxLength:"500"`
		Scope        string `query:"scope" maxLength:"2000"`
		AuthUser     string `query:"authuser" maxLength:"100"`
		HD           string `query:"hd" maxLength:"255"`
		Prompt       string `query:"prompt" maxLength:"100"`
	}
	huma.Register(h, huma.Operation{
		OperationID: "finish-sign-in", Method: http.MethodGet, Path: OIDCReturn, Summary: "Come back from the OpenID Connect provider", DefaultStatus: http.StatusSeeOther,
		Description: "Sets the session's cookie and goes to the inbox. Whatever is wrong, the answer is the same; each return works once.",
	}, func(ctx context.Context, in *finish) (*redirect, error) {
		if a.OIDC == nil {
			return nil, a.problem(ctx, "finish-sign-in", errNoOIDC)
		}
		kept := in.Kept
		if a.HTTPS {
			kept = in.KeptSecure
		}
		c, err := a.OIDC.Finish(ctx, access.Return{
			Kept: kept, State: in.State, Code: in.Code, Issuer: in.Issuer, UserAgent: in.UserAgent, By: access.From(ctx).Actor,
		})
		if err != nil {
			cause := err
			if e := (*inbox.Error)(nil); errors.As(err, &e) && e.Err != nil {
				cause = e.Err // people are told nothing of it
			}
			a.log.InfoContext(ctx, "a sign-in failed", "provider_says", in.Error, "error", cause)
			return nil, a.throttled(ctx, "finish-sign-in", err)
		}
		return &redirect{Status: http.StatusSeeOther, Location: "/", SetCookie: []http.Cookie{*access.SessionCookie(c.Text, a.HTTPS), a.oidcCookie("")}}, nil
	})
}
