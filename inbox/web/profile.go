package web

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/boombuler/barcode/qr"

	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

func (p *pages) profilePages(mux *http.ServeMux) {
	mux.Handle("GET /profile", p.forAgents(p.showProfile))
	mux.Handle("POST /profile/password", p.change(inbox.ReadOnly, "", p.changePassword))
	mux.Handle("POST /profile/second-factor", p.change(inbox.ReadOnly, "", p.secondFactor))
	mux.Handle("POST /profile/sessions/end", p.change(inbox.ReadOnly, "", p.endSessions))
}

// profilePage is who looks, and where they are logged in.
type profilePage struct {
	store.Account
	Sessions []store.Session
	// Here is this session's id.
	Here     string
	Password form
	// Factor is the secret of a second factor being set up, nil while none is.
	Factor *factor
}

// factor is a second factor's secret before it is confirmed.
type factor struct {
	Form   form
	Secret string
	// Size is the width of its QR code in modules, Path its dark ones as an SVG path.
	Size int
	Path string
}

func (p *pages) profilePage(r *http.Request) (profilePage, error) {
	who := access.From(r.Context())
	page := profilePage{Here: who.Session, Password: form{
		Action: "/profile/password", Submit: "profile.change_password",
		Fields: []field{
			{Name: "old", Label: "profile.old_password", Kind: "password", Required: true, Auto: "current-password"},
			{Name: "new", Label: "profile.new_password", Kind: "password", Required: true, Auto: "new-password", Help: "invite.password_help"},
		},
	}}
	var err error
	if page.Account, err = p.Desk.Store.Account(r.Context(), who.Tenant, who.User); err != nil {
		return page, err
	}
	page.Sessions, err = p.Desk.Store.Sessions(r.Context(), who.Tenant, who.User)
	return page, err
}

func (p *pages) reshowProfile(w http.ResponseWriter, r *http.Request, status int, also func(*profilePage)) {
	page, err := p.profilePage(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	also(&page)
	p.show(w, r, status, "profile", frame{Title: "profile.title", Here: "profile", Script: true, Page: page})
}

func (p *pages) showProfile(w http.ResponseWriter, r *http.Request) {
	p.reshowProfile(w, r, http.StatusOK, func(*profilePage) {})
}

func (p *pages) changePassword(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	if err := p.Guard.ChangePassword(r.Context(), access.From(r.Context()), r.PostFormValue("old"), r.PostFormValue("new")); err != nil {
		p.reshowProfile(w, r, statusOf(err), func(page *profilePage) {
			p.refuse(r, &page.Password, err, pair{"old", "so far"}, pair{"old", "failed tries"}, pair{"new", "password"})
		})
		return
	}
	done(w, r, "/profile", "password_changed")
}

// secondFactor makes a secret and shows it; with a code, it confirms the one that
// was shown. Between the two it is nowhere but in the page.
func (p *pages) secondFactor(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	who, secret := access.From(r.Context()), r.PostFormValue("secret")
	if secret == "" {
		account, err := p.Desk.Store.Account(r.Context(), who.Tenant, who.User)
		var address string
		if err == nil {
			secret, address, err = access.NewTOTP(account.Email)
		}
		var f factor
		if err == nil {
			f, err = newFactor(secret, address)
		}
		if err != nil {
			p.fail(w, r, err)
			return
		}
		p.reshowProfile(w, r, http.StatusOK, func(page *profilePage) { page.Factor = &f })
		return
	}
	if _, err := p.Guard.AddTOTP(r.Context(), who, secret, strings.TrimSpace(r.PostFormValue("code"))); err != nil {
		f, again := newFactor(secret, r.PostFormValue("address"))
		if again != nil {
			p.fail(w, r, again)
			return
		}
		f.Form.blame("code", p.words(r, err))
		p.reshowProfile(w, r, statusOf(err), func(page *profilePage) { page.Factor = &f })
		return
	}
	done(w, r, "/profile", "factor_on")
}

// newFactor draws the QR code of an otpauth address, with the quiet zone that
// readers need (ISO/IEC 18004, section 5.3.8).
func newFactor(secret, address string) (factor, error) {
	const quiet = 4
	code, err := qr.Encode(address, qr.M, qr.Auto)
	if err != nil {
		return factor{}, fmt.Errorf("drawing the QR code: %w", err)
	}
	var path strings.Builder
	size := code.Bounds().Dx()
	for y := range size {
		for x := range size {
			if dark, _, _, _ := code.At(x, y).RGBA(); dark == 0 {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	return factor{Secret: secret, Size: size + 2*quiet, Path: path.String(), Form: form{
		Action: "/profile/second-factor", Submit: "profile.factor_confirm", Hidden: []pair{{"secret", secret}, {"address", address}},
		Fields: []field{{Name: "code", Label: "login.code", Kind: "text", Required: true, Max: 10, Auto: "one-time-code"}},
	}}, nil
}

func (p *pages) endSessions(w http.ResponseWriter, r *http.Request) {
	who := access.From(r.Context())
	if _, err := p.Desk.Store.EndOtherSessions(r.Context(), who.Tenant, who.Actor, who.User, who.Session); err != nil {
		p.fail(w, r, err)
		return
	}
	done(w, r, "/profile", "sessions_ended")
}
