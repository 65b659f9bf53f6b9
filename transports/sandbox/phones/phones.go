// Package phones is a page that shows what clients see of a business, and lets
// whoever looks at it write as them: beside the inbox, one person plays both
// sides of a conversation.
//
// It acts on the stand-ins of package sandbox in the same process. It answers
// this machine only.
package phones

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"parley/transports/sandbox"
)

// Options of the page. All are required but Inbox and Logger.
type Options struct {
	Telegram *sandbox.Telegram
	Twilio   *sandbox.Twilio
	Mail     *sandbox.Mail
	// Inbox is where the business's side is, for a link; empty for none.
	Inbox  func() string
	Logger *slog.Logger
}

type pages struct {
	Options
	*template.Template
	faults setting
}

//go:embed static page.html
var embedded embed.FS

// contentPolicy lets the page load only what is served beside it.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// New makes the handler.
func New(o Options) (http.Handler, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	t, err := template.ParseFS(embedded, "page.html")
	if err != nil {
		return nil, err
	}
	p := &pages{Options: o, Template: t}
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.FileServerFS(embedded))
	mux.HandleFunc("GET /{$}", p.show)
	mux.HandleFunc("GET /threads", p.threads)
	mux.HandleFunc("POST /say", p.say)
	mux.HandleFunc("POST /read", p.read)
	mux.HandleFunc("POST /faults", p.setFaults)
	protected := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !sandbox.FromLoopback(r) {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		protected.ServeHTTP(w, r)
	}), nil
}

// page is all that is shown.
type page struct {
	Who    string
	People []string
	// Phones are the person's, one for each network.
	Phones []phone
	// Seen is a hash of them, for asking what is new.
	Seen  string
	Inbox string
	// Error is why something was refused, Typed what it was, On which network.
	Error, Typed, Subject, On string
	Faults                    faults
	Strikes                   []choice
	Often                     []choice
}

// first are people to begin with.
var first = []string{"anna", "bo"}

// maxName bounds a person's name in characters.
const maxName = 40

// who is the person asked for, Anna unless somebody is.
func who(r *http.Request) string {
	name := strings.ToLower(strings.Join(strings.Fields(r.FormValue("who")), " "))
	if name == "" || utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' }) {
		return first[0]
	}
	return name
}

func (p *pages) page(name string) (page, error) {
	pg := page{Who: name, Phones: p.phones(name), Faults: p.faults.get(), Strikes: strikes(), Often: often()}
	pg.People = slices.Concat(first, p.Telegram.Names(), p.Twilio.Names(), []string{name})
	slices.Sort(pg.People)
	pg.People = slices.Compact(pg.People)
	if p.Inbox != nil {
		pg.Inbox = p.Inbox()
	}
	var threads bytes.Buffer
	err := p.ExecuteTemplate(&threads, "threads", pg.Phones)
	sum := sha256.Sum256(threads.Bytes())
	pg.Seen = hex.EncodeToString(sum[:8])
	return pg, err
}

func (p *pages) show(w http.ResponseWriter, r *http.Request) {
	pg, err := p.page(who(r))
	p.write(w, r, http.StatusOK, "page", pg, err)
}

func (p *pages) write(w http.ResponseWriter, r *http.Request, status int, name string, data any, err error) {
	var b bytes.Buffer
	if err == nil {
		err = p.ExecuteTemplate(&b, name, data)
	}
	if err != nil {
		p.Logger.ErrorContext(r.Context(), "the phones could not be shown", "error", err)
		http.Error(w, "The phones could not be shown; the log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w)
}

// How long a request for news waits for some, and how often it looks.
const (
	wait = 20 * time.Second
	look = 150 * time.Millisecond
)

// threads answers once there is something new, or after a while. It looks by
// itself: three stand-ins have no signal in common.
func (p *pages) threads(w http.ResponseWriter, r *http.Request) {
	name, seen := who(r), r.FormValue("seen")
	end := time.After(wait)
	again := time.NewTicker(look)
	defer again.Stop()
	for {
		pg, err := p.page(name)
		if err != nil || pg.Seen != seen {
			w.Header().Set("Phones-Seen", pg.Seen)
			p.write(w, r, http.StatusOK, "threads", pg.Phones, err)
			return
		}
		select {
		case <-again.C:
		case <-end:
			w.WriteHeader(http.StatusNoContent)
			return
		case <-r.Context().Done():
			return
		}
	}
}

// maxForm bounds a form in bytes.
const maxForm = 64 << 10

func (p *pages) say(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	name, on, text := who(r), r.PostFormValue("on"), r.PostFormValue("text")
	if err := p.writeAs(name, on, text, r.PostFormValue("subject")); err != nil {
		words := strings.TrimPrefix(err.Error(), "sandbox: ")
		if isFragment(r) {
			http.Error(w, words, http.StatusUnprocessableEntity)
			return
		}
		pg, err := p.page(name)
		pg.Error, pg.Typed, pg.Subject, pg.On = words, text, r.PostFormValue("subject"), on
		p.write(w, r, http.StatusUnprocessableEntity, "page", pg, err)
		return
	}
	p.back(w, r, name)
}

// read reads what came on WhatsApp, so that the business's ticks turn.
func (p *pages) read(w http.ResponseWriter, r *http.Request) {
	name := who(r)
	on, err := p.Twilio.Person(name).WhatsApp()
	if err == nil {
		err = on.Read()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	p.back(w, r, name)
}

// back goes on with the person's phones.
func (p *pages) back(w http.ResponseWriter, r *http.Request, name string) {
	if isFragment(r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, "/?who="+url.QueryEscape(name), http.StatusSeeOther)
}

func isFragment(r *http.Request) bool { return r.Header.Get("Phones-Fragment") != "" }

// writeAs writes as the person on a network.
func (p *pages) writeAs(name, on, text, subject string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("write something first")
	}
	var err error
	switch on {
	case "telegram":
		_, err = p.Telegram.Person(name).Say(text)
	case "sms":
		_, err = p.Twilio.Person(name).Say(text)
	case "whatsapp":
		var by sandbox.TwilioPerson
		if by, err = p.Twilio.Person(name).WhatsApp(); err == nil {
			_, err = by.Say(text)
		}
	case "email":
		var by sandbox.MailPerson
		if by, err = p.Mail.Person(name); err == nil {
			_, err = by.Write(subject, text)
		}
	default:
		err = fmt.Errorf("there is no network %q", on)
	}
	return err
}
