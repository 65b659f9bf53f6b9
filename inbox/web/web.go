// Package web is the pages that agents work in: rendered on the server, with
// links and forms that work before any script has run, and small scripts of our
// own that keep them live. Everything is embedded; nothing is loaded from
// elsewhere.
//
// Its handler expects to know who asks ([access.From]) and that posts from other
// sites were refused: inbox/api does both for whatever is served beside it.
package web

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
)

// Options of the pages. Desk, Guard and Quarantine are required.
type Options struct {
	Desk       *desk.Desk
	Guard      *access.Guard
	Quarantine Quarantine
	// HTTPS says whether people come by https.
	HTTPS bool
	// URL is where people reach Parley, without trailing slash, for links.
	URL string
	// Phones is where the clients' side of a demo is played, empty for nowhere.
	Phones string
	// SignIn is who else vouches for people, nil for nobody.
	SignIn *SignIn
	Logger *slog.Logger
}

// SignIn is a provider that people can sign in by.
type SignIn struct {
	// Name is what people know it by, Path where it begins; that takes the tenant's
	// name as the query's tenant.
	Name, Path string
}

// pages has the handlers as its methods, one noun per file.
type pages struct {
	Options
	log    *slog.Logger
	looks  looks
	assets *assets
}

// contentPolicy lets a page load only what Parley itself serves, and nothing run
// that is written within it (https://www.w3.org/TR/CSP3/).
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; " +
	"frame-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// New makes the handler of all pages. It fails when an embedded text or template
// is broken.
func New(o Options) (http.Handler, error) {
	p := &pages{Options: o, log: o.Logger}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if p.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if p.looks, err = loadLooks(p.assets); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+assetsPath, p.assets)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/inbox", http.StatusSeeOther) })
	mux.HandleFunc("GET /login", p.showLogin)
	mux.HandleFunc("POST /login", p.logIn)
	mux.HandleFunc("POST /logout", p.logOut)
	mux.HandleFunc("GET /invite", p.showInvitation)
	mux.HandleFunc("POST /invite", p.accept)
	p.inbox(mux)
	mux.Handle("GET /messages/{message}/html", p.forAgents(p.showMail))
	mux.Handle("GET /deliveries", p.forAgents(p.showDeliveries))
	for verb := range deliveryVerbs {
		mux.Handle("POST /deliveries/{delivery}/"+verb, p.change(inbox.Agent, "delivery."+verb, p.settleDelivery(verb)))
	}
	p.administration(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.fail(w, r, notFound("page.not_found"))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", contentPolicy)
		mux.ServeHTTP(w, r)
	}), nil
}

// forAgents sends whoever has not logged in to the page for it, and back again
// afterwards.
func (p *pages) forAgents(f func(http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if access.From(r.Context()).Session == "" {
			if isFragment(r) {
				w.WriteHeader(http.StatusUnauthorized) // the script says so; what is typed stays
				return
			}
			to := "/login"
			if r.Method == http.MethodGet && r.URL.Path != "/inbox" {
				to += "?next=" + queryEscape(r.URL.RequestURI())
			}
			http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // to our own page, which checks where it goes on
			return
		}
		f(w, r)
	})
}

// isFragment reports whether a script asks for a part of a page.
func isFragment(r *http.Request) bool { return r.Header.Get("Parley-Fragment") != "" }

// localPath is where to go on within Parley; anything else is the inbox.
func localPath(next string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(next, "/"), "/")
	first, _, _ = strings.Cut(first, "?")
	if !strings.HasPrefix(next, "/") || !slices.Contains(ours(), first) || strings.ContainsAny(next, "\\\r\n") {
		return "/inbox"
	}
	return next
}
