package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"

	"parley/inbox"
	"parley/inbox/access"
)

//go:embed templates locales
var embedded embed.FS

// looks are the templates in each language of the catalog. Another language is
// one more file in locales.
type looks struct {
	matcher language.Matcher
	// by has the templates in the matcher's order.
	by []look
}

// look is the pages in one language.
type look struct {
	lang string
	*template.Template
	text func(id string, args ...any) string
}

func loadLooks(a *assets) (looks, error) {
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
	names, err := embedded.ReadDir("locales")
	if err != nil {
		return looks{}, err
	}
	for _, n := range names {
		if _, err := bundle.LoadMessageFileFS(embedded, "locales/"+n.Name()); err != nil {
			return looks{}, fmt.Errorf("texts in %s: %w", n.Name(), err)
		}
	}
	tags := bundle.LanguageTags()
	all := looks{matcher: language.NewMatcher(tags)}
	for _, tag := range tags {
		text := catalog(i18n.NewLocalizer(bundle, tag.String()))
		t, err := template.New("").Funcs(template.FuncMap{
			"t": text, "asset": func(name string) string { return a.base + name }, "modules": a.modules, "reactions": reactions,
		}).ParseFS(embedded, "templates/*.html")
		if err != nil {
			return looks{}, err
		}
		all.by = append(all.by, look{lang: tag.String(), Template: t, text: text})
	}
	return all, nil
}

// catalog looks texts up: t "id", t "id" "name" value …; a value called n chooses
// the plural. A text that is missing shows its id.
func catalog(l *i18n.Localizer) func(string, ...any) string {
	return func(id string, args ...any) string {
		cfg := &i18n.LocalizeConfig{MessageID: id}
		if len(args) > 0 {
			data := make(map[string]any, len(args)/2)
			for i := 0; i+1 < len(args); i += 2 {
				data[fmt.Sprint(args[i])] = args[i+1]
			}
			cfg.TemplateData = data
			if n, ok := data["n"]; ok {
				cfg.PluralCount = n
			}
		}
		s, err := l.Localize(cfg)
		if err != nil {
			return id
		}
		return s
	}
}

// choose takes the reader's language.
func (l looks) choose(r *http.Request) look {
	_, i := language.MatchStrings(l.matcher, r.Header.Get("Accept-Language"))
	return l.by[i]
}

// frame is what every page shows around its content.
type frame struct {
	Lang, Title string
	// Me is who looks.
	Me access.Principal
	// Flash is said once at the top, such as why something was refused.
	Flash string
	// Here is the page's place in the menu.
	Here string
	// Menu are the pages that who looks may see.
	Menu []menuItem
	// Done says that what they asked for was done.
	Done string
	// Script says that the page has more than forms.
	Script bool
	// Phones is where the clients' side of a demo is played.
	Phones string
	// Place is where the stream of facts stood before the page was read, for pages
	// that follow it; empty when that is not known.
	Place string
	Page  any
}

// show renders a page. What is rendered is sent only when all of it is there.
func (p *pages) show(w http.ResponseWriter, r *http.Request, status int, name string, f frame) {
	l := p.looks.choose(r)
	f.Lang, f.Me = l.lang, access.From(r.Context())
	f.Title, f.Phones = l.text(f.Title), p.Phones
	f.Menu = p.menu(r)
	if id := "done." + r.URL.Query().Get("done"); l.text(id) != id {
		f.Done = l.text(id)
	}
	p.write(w, r, status, l, name, f)
}

// fragment renders a part of a page.
func (p *pages) fragment(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	p.write(w, r, status, p.looks.choose(r), name, data)
}

func (p *pages) write(w http.ResponseWriter, r *http.Request, status int, l look, name string, data any) {
	var buf bytes.Buffer
	if err := l.ExecuteTemplate(&buf, name, data); err != nil {
		p.log.ErrorContext(r.Context(), "a page could not be rendered", "page", name, "error", err)
		http.Error(w, l.text("error.internal"), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if buf.Len() < leastCompressed || !compressible(w.Header(), r) {
		w.WriteHeader(status)
		_, _ = buf.WriteTo(w)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	zip := gzip.NewWriter(w)
	_, _ = buf.WriteTo(zip)
	_ = zip.Close() // whoever asked has gone
}

// leastCompressed is how many bytes a page must have, so that fewer packets go.
const leastCompressed = 1 << 10

// compressible reports whether an answer may be compressed. Not where another site
// made the browser ask: with words of its choice in the query it could guess what
// else is on the page by how well that compresses (https://www.breachattack.com).
func compressible(h http.Header, r *http.Request) bool {
	h.Add("Vary", "Accept-Encoding, Sec-Fetch-Site")
	site := r.Header.Get("Sec-Fetch-Site")
	return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && (site == "same-origin" || site == "none")
}

// notFound is an error whose message is a text of the catalog.
func notFound(id string) error { return &inbox.Error{Code: inbox.NotFound, Message: id} }

// statusOf is an error's HTTP status.
func statusOf(err error) int {
	switch inbox.CodeOf(err) {
	case inbox.Invalid:
		return http.StatusUnprocessableEntity
	case inbox.NotFound:
		return http.StatusNotFound
	case inbox.Conflict, inbox.Stale, inbox.Refused:
		return http.StatusConflict
	case inbox.Unavailable:
		return http.StatusServiceUnavailable
	case inbox.Unauthorized:
		return http.StatusUnauthorized
	case inbox.Forbidden:
		return http.StatusForbidden
	case inbox.Changed:
		return http.StatusPreconditionFailed
	case inbox.Unversioned:
		return http.StatusPreconditionRequired
	}
	return http.StatusInternalServerError
}

// words is what to tell people about an error: what it says where it was written
// for them, and nothing of its inside otherwise.
func (p *pages) words(r *http.Request, err error) string {
	text := p.looks.choose(r).text
	var e *inbox.Error
	if errors.As(err, &e) {
		return strings.TrimSpace(text(e.Message) + " " + e.Hint)
	}
	p.log.ErrorContext(r.Context(), "a page failed", "path", r.URL.Path, "error", err)
	return text("error.internal")
}

// fail shows an error as a page, or as a part of one.
func (p *pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	if isFragment(r) {
		p.fragment(w, r, statusOf(err), "flash", p.words(r, err))
		return
	}
	p.show(w, r, statusOf(err), "error", frame{Title: "error.title", Page: p.words(r, err)})
}

// zone is where the reader is, as their browser said; UTC until it has.
func zone(r *http.Request) *time.Location {
	if c, err := r.Cookie("zone"); err == nil {
		if name, err := url.QueryUnescape(c.Value); err == nil && name != "Local" {
			if loc, err := time.LoadLocation(name); err == nil {
				return loc
			}
		}
	}
	return time.UTC
}

func queryEscape(s string) string { return url.QueryEscape(s) }
