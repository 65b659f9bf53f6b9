package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// OIDCOptions say who else vouches for people: one OpenID Connect provider for
// the whole installation.
type OIDCOptions struct {
	// Issuer is the provider's URL, below which its configuration is found.
	Issuer, ClientID, ClientSecret string
	// Domain is what an address must end in to be believed, without @; empty for
	// any.
	Domain string
	// RedirectURL is where the provider sends people back to.
	RedirectURL string
	// Client calls the provider; one with a timeout of 10 s when nil.
	Client *http.Client
	// Now is the clock, time.Now when nil.
	Now func() time.Time
}

// OIDC signs people in by the word of a provider (OpenID Connect Core 1.0, with
// the code flow, PKCE and a nonce). It makes no users: who signs in was invited
// before. Make one with NewOIDC.
type OIDC struct {
	opts  OIDCOptions
	guard *Guard

	mu       sync.Mutex
	provider *oidc.Provider
}

// NewOIDC makes one. The provider is asked for its configuration when it is first
// needed: a server starts without it.
func NewOIDC(g *Guard, o OIDCOptions) *OIDC {
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Domain = strings.ToLower(strings.TrimPrefix(o.Domain, "@"))
	return &OIDC{opts: o, guard: g}
}

// SignInTime is how long somebody may take at the provider.
const SignInTime = 10 * time.Minute

// oidcName is what a sign-in under way is sealed for.
const oidcName = "oidc sign-in"

func (o *OIDC) discover(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.provider == nil {
		// Its keys are fetched with this context later on, too.
		p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), o.opts.Client), o.opts.Issuer)
		if err != nil {
			return nil, nil, &inbox.Error{
				Code: inbox.Unavailable, Message: "The sign-in provider cannot be reached, or is not set up as Parley was told.",
				Hint: "Try again, or log in with a password.", Err: err,
			}
		}
		o.provider = p
	}
	return o.provider, &oauth2.Config{
		ClientID: o.opts.ClientID, ClientSecret: o.opts.ClientSecret, Endpoint: o.provider.Endpoint(),
		RedirectURL: o.opts.RedirectURL, Scopes: []string{oidc.ScopeOpenID, "email"},
	}, nil
}

// Begin says where to send somebody, and what their browser has to bring back
// with them.
func (o *OIDC) Begin(ctx context.Context, tenant events.TenantID) (target, kept string, err error) {
	_, cfg, err := o.discover(ctx)
	if err != nil {
		return "", "", err
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	sealed, err := o.guard.keys.Seal(oidcName, map[string]string{
		"state": state, "nonce": nonce, "verifier": verifier, "tenant": string(tenant), "until": strconv.FormatInt(o.opts.Now().Add(SignInTime).Unix(), 10),
	})
	if err != nil {
		return "", "", err
	}
	return cfg.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Return is somebody who comes back from the provider.
type Return struct {
	// Kept is what Begin gave their browser.
	Kept string
	// State, Code and Issuer are what the provider sent along; Issuer is empty
	// where it does not (RFC 9207).
	State, Code, Issuer string
	UserAgent           string
	By                  inbox.Actor
}

// errSignIn is every sign-in that fails, whatever the reason; err is for the log.
func errSignIn(err error) error {
	return &inbox.Error{
		Code: inbox.Unauthorized, Message: "The sign-in failed: the provider did not vouch for anybody who has an account here.",
		Hint: "Begin again. Who has no account yet asks an owner for an invitation.", Err: err,
	}
}

// Finish begins a session for who comes back. It fails with Unauthorized, always
// in the same words, and with Refused while the address has to wait.
func (o *OIDC) Finish(ctx context.Context, r Return) (Credential, error) {
	g, address := o.guard, AddressKey(r.By.Address)
	wait, err := g.db.LoginWait(ctx, address)
	if err != nil || wait > 0 {
		return Credential{}, errors.Join(err, mustWait(wait))
	}
	tenant, account, err := o.vouched(ctx, r)
	if inbox.CodeOf(err) == inbox.Unauthorized {
		return Credential{}, errors.Join(err, g.db.LoginFailed(ctx, address, AddressDelay))
	}
	if err != nil {
		return Credential{}, err
	}
	return g.begin(ctx, tenant, account, r.By, r.UserAgent)
}

// vouched is whom the provider vouches for.
func (o *OIDC) vouched(ctx context.Context, r Return) (tenant events.TenantID, a store.Account, err error) {
	sealed, err := base64.RawURLEncoding.DecodeString(r.Kept)
	if err != nil {
		return "", a, errSignIn(err)
	}
	kept, err := o.guard.keys.Open(oidcName, sealed)
	if err != nil {
		return "", a, errSignIn(err)
	}
	until, err := strconv.ParseInt(kept["until"], 10, 64)
	switch {
	case err != nil || o.opts.Now().Unix() > until:
		return "", a, errSignIn(errors.New("it took too long"))
	case subtle.ConstantTimeCompare([]byte(r.State), []byte(kept["state"])) != 1:
		return "", a, errSignIn(errors.New("the state is of another sign-in"))
	case r.Issuer != "" && r.Issuer != o.opts.Issuer:
		return "", a, errSignIn(errors.New("another issuer answers"))
	}
	first, err := o.guard.db.UseOnce(ctx, sha256.Sum256([]byte("oidc\x00"+r.State)))
	if err != nil {
		return "", a, err
	}
	if !first {
		return "", a, errSignIn(errors.New("the state was used before"))
	}
	claims, err := o.claims(ctx, r.Code, kept["verifier"], kept["nonce"])
	if err != nil {
		return "", a, err
	}
	email := ""
	if said := lowerASCII(claims.Email); claims.Verified && o.ours(said) {
		email = said
	}
	if o.opts.Domain != "" && email == "" {
		return "", a, errSignIn(errors.New("the address is not verified, or of another domain"))
	}
	tenant = events.TenantID(kept["tenant"])
	a, found, err := o.guard.db.AccountOfSubject(ctx, tenant, r.By, store.Subject{Issuer: o.opts.Issuer, Subject: claims.Subject, Email: email})
	if err == nil && !found {
		err = errSignIn(errors.New("nobody here"))
	}
	return tenant, a, err
}

// lowerASCII leaves all but ASCII alone: some other letters' lower case is an ASCII
// letter (K, the Kelvin sign, becomes k), so that somebody else's address would
// become a user's.
func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

func (o *OIDC) ours(email string) bool {
	_, domain, ok := strings.Cut(email, "@")
	return ok && (o.opts.Domain == "" || domain == o.opts.Domain)
}

type idClaims struct {
	Subject  string `json:"sub"`
	Email    string `json:"email"`
	Verified bool   `json:"email_verified"`
}

// claims redeems the code and checks the token that it gives: signature, issuer,
// audience, expiry and nonce.
func (o *OIDC) claims(ctx context.Context, code, verifier, nonce string) (c idClaims, err error) {
	provider, cfg, err := o.discover(ctx)
	if err != nil {
		return c, err
	}
	ctx = oidc.ClientContext(ctx, o.opts.Client)
	token, err := cfg.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return c, errSignIn(fmt.Errorf("redeeming the code: %w", err))
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return c, errSignIn(errors.New("no ID token"))
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: o.opts.ClientID, Now: o.opts.Now}).Verify(ctx, raw)
	if err != nil {
		return c, errSignIn(err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1 {
		return c, errSignIn(errors.New("the nonce is of another sign-in"))
	}
	if err := id.Claims(&c); err != nil || c.Subject == "" {
		return c, errSignIn(fmt.Errorf("reading the ID token: %w", err))
	}
	return c, nil
}
