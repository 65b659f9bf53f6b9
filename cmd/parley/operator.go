package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"parley/events/jetstream"
	"parley/inbox/access"
	"parley/inbox/api"
	"parley/inbox/desk"
	"parley/inbox/router"
	"parley/inbox/web"
	"parley/store"
)

// serveOperator listens for the operator's command line. Until the database is
// there it answers that the server is starting.
func (s *server) serveOperator(ctx context.Context) (stop func(context.Context), err error) {
	if s.socket, err = socketPath(s.cfg.DataDir); err != nil {
		return nil, err
	}
	l, err := listenSocket(ctx, s.socket)
	if err != nil {
		return nil, err
	}
	words := "The server is starting: PostgreSQL is not ready yet."
	if !s.cfg.Roles.has(roleAPI) {
		words = "This server does not play the role api."
	}
	streams, stopStreams := context.WithCancel(context.WithoutCancel(ctx))
	s.streams = streams
	shutdown := s.serve(l, later(&s.operator, words))
	return func(ctx context.Context) {
		stopStreams() // they would never end by themselves
		shutdown(ctx)
	}, nil
}

// serveAPI begins to answer the operator.
func (s *server) serveAPI(ctx context.Context, d *desk.Desk, r *router.Router) {
	guard := s.guard(d.Store)
	var err error
	opts := api.Options{
		Desk: d, Quarantine: quarantine{d.Store, r}, Audit: auditor(d.Store, s.bus), Status: s.status,
		Stop: s.streams, Version: s.cfg.Version, Logger: s.log.With("role", roleAPI),
		Guard: guard, URL: s.apiURL(), HTTPS: strings.HasPrefix(s.apiURL(), "https://"),
	}
	opts.Proxies, opts.OIDC = s.proxies, s.signIns(guard)
	if s.cfg.RateLimit > 0 {
		opts.Limits = access.NewLimits(s.cfg.RateLimit)
	}
	var signIn *web.SignIn
	if opts.OIDC != nil {
		signIn = &web.SignIn{Name: s.cfg.OIDC.Issuer, Path: api.OIDCBegin}
		if u, err := url.Parse(s.cfg.OIDC.Issuer); err == nil && u.Host != "" {
			signIn.Name = u.Host // people know it better
		}
	}
	if opts.Pages, err = web.New(web.Options{
		Desk: d, Guard: guard, Quarantine: opts.Quarantine, HTTPS: opts.HTTPS, URL: opts.URL, Phones: s.cfg.Phones, SignIn: signIn, Logger: opts.Logger,
	}); err != nil {
		s.fail(fmt.Errorf("the pages: %w", err)) // embedded, so tests find it before anybody else
		return
	}
	s.work.Go(func() { guard.Watch(ctx, opts.Logger, nil) })
	if s.embedded != nil {
		s.embedded.AdmitGuests(guests{guard})
	}
	h, public := api.New(opts), api.Public(opts)
	s.operator.Store(&h)
	s.public.Store(&public)
}

// guests are programs with an API token on the embedded bus.
type guests struct{ *access.Guard }

var _ jetstream.Guests = guests{}

// Guest implements [jetstream.Guests]. Tokens only: a session is a browser's.
func (g guests) Guest(ctx context.Context, password string) (jetstream.Guest, bool, error) {
	if _, is := access.ParseCredential(access.TokenKind, password); !is {
		return jetstream.Guest{}, false, nil
	}
	who, ok, err := g.Identify(ctx, password)
	if err != nil || !ok {
		return jetstream.Guest{}, false, err
	}
	hidden, ok := api.HiddenFacts(who)
	return jetstream.Guest{Tenant: who.Tenant, Hidden: hidden}, ok, nil
}

// quarantine is kept by the store; replaying takes the router's adapters.
type quarantine struct {
	*store.DB
	*router.Router
}

var _ api.Quarantine = quarantine{}

// auditor runs the router's audit.
func auditor(db *store.DB, bus *jetstream.Bus) func(context.Context) (api.Audit, error) {
	return func(ctx context.Context) (api.Audit, error) {
		r, err := router.Audit(ctx, db, bus)
		out := api.Audit{Clean: r.Clean, Findings: r.Findings, Partitions: make([]api.AuditPartition, len(r.Partitions))}
		for i, p := range r.Partitions {
			out.Partitions[i] = api.AuditPartition(p)
		}
		return out, err
	}
}
