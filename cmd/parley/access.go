package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/api"
	"parley/store"
)

// servePublic listens for people with a session and programs with a token, where
// the role api is played and an address is given.
func (s *server) servePublic(ctx context.Context) (stop func(context.Context), err error) {
	if s.cfg.APIListen == "" || !s.cfg.Roles.has(roleAPI) {
		return func(context.Context) {}, nil
	}
	if s.cfg.APIURL != "" {
		u, err := url.Parse(s.cfg.APIURL)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.Path != "" {
			return nil, &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("%q is not where people reach the API.", s.cfg.APIURL),
				Hint: "It looks like https://inbox.example.com, without a path.",
			}
		}
	}
	if s.proxies, err = access.ParseProxies(s.cfg.TrustedProxies); err != nil {
		return nil, err
	}
	if s.cfg.OIDC.Issuer != "" && (s.cfg.APIURL == "" || s.cfg.OIDC.ClientID == "") {
		return nil, &inbox.Error{
			Code: inbox.Invalid, Message: "Signing in by a provider needs to know where it sends people back to, and who asks.",
			Hint: "Set --api-url and --oidc-client-id, too.",
		}
	}
	if s.api, err = listenTCP(ctx, s.cfg.APIListen, "--api-listen"); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", later(&s.public, "The server is starting: PostgreSQL is not ready yet."))
	return s.serve(s.api, mux), nil
}

// apiURL is where people reach the API, empty when they cannot.
func (s *server) apiURL() string {
	switch {
	case s.cfg.APIURL != "":
		return s.cfg.APIURL
	case s.api != nil:
		return "http://" + s.api.Addr().String()
	}
	return ""
}

func (s *server) guard(db *store.DB) *access.Guard {
	return access.NewGuard(access.GuardOptions{DB: db, Keyring: s.keys})
}

// signIns is nil without a provider.
func (s *server) signIns(g *access.Guard) *access.OIDC {
	o := s.cfg.OIDC
	if o.Issuer == "" {
		return nil
	}
	o.RedirectURL = s.apiURL() + api.OIDCReturn
	return access.NewOIDC(g, o)
}

// inviteOwner tells people, once, how the first owner gets in. The log, which is
// collected and kept, does not get the link.
func (s *server) inviteOwner(ctx context.Context, db *store.DB) error {
	if s.cfg.Notice == nil || s.api == nil {
		return nil
	}
	return s.await(ctx, "The first owner is not invited yet.", func() error {
		tenants, err := db.Tenants(ctx)
		if err != nil || len(tenants) == 0 {
			return err
		}
		link, err := s.guard(db).FirstOwner(ctx, tenants[0].ID, s.apiURL())
		if err != nil || link == "" {
			return err
		}
		_, err = fmt.Fprintf(s.cfg.Notice, "Nobody can log in yet. This link makes the first owner, once, within three days:\n  %s\n", link)
		return err
	})
}
