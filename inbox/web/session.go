package web

import (
	"net/http"

	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

// maxForm is the most that a form without files may have.
const maxForm = 1 << 20

// loginForm is what somebody typed who could not be let in; never the password.
type loginForm struct {
	Tenant, Email, Next string
	// Several says that there is more than one business to choose from.
	Several bool
	// SignIn is nil where nobody else vouches for people; SignInLink leads there, once
	// it is known for which business.
	SignIn     *SignIn
	SignInLink string
}

// elsewhere offers to sign in by somebody else's word.
func (p *pages) elsewhere(f loginForm) loginForm {
	f.SignIn = p.SignIn
	switch {
	case f.SignIn == nil:
	case !f.Several:
		f.SignInLink = f.SignIn.Path
	case f.Tenant != "":
		f.SignInLink = f.SignIn.Path + "?tenant=" + queryEscape(f.Tenant)
	}
	return f
}

func (p *pages) showLogin(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.FormValue("next"))
	if access.From(r.Context()).Session != "" {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	f := frame{Title: "login.title", Page: p.elsewhere(loginForm{Tenant: r.FormValue("tenant"), Next: next, Several: p.several(r)})}
	if r.FormValue("welcome") != "" {
		f.Flash = p.looks.choose(r).text("login.welcome")
	}
	p.show(w, r, http.StatusOK, "login", f)
}

// several reports whether somebody who logs in has to say at which business.
// Which ones there are is nobody's to see.
func (p *pages) several(r *http.Request) bool {
	tenants, err := p.Desk.Store.Tenants(r.Context())
	return err != nil || len(tenants) > 1
}

func (p *pages) logIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	form := loginForm{
		Tenant: r.PostFormValue("tenant"), Email: r.PostFormValue("email"), Next: localPath(r.PostFormValue("next")), Several: p.several(r),
	}
	tenant, err := p.Guard.Tenant(r.Context(), form.Tenant)
	var c access.Credential
	if err == nil {
		c, _, err = p.Guard.LogIn(r.Context(), access.Attempt{
			Tenant: tenant, Email: form.Email, Password: r.PostFormValue("password"), Code: r.PostFormValue("code"),
			UserAgent: r.UserAgent(), By: access.From(r.Context()).Actor,
		})
	}
	if err != nil {
		p.show(w, r, statusOf(err), "login", frame{Title: "login.title", Flash: p.words(r, err), Page: p.elsewhere(form)})
		return
	}
	http.SetCookie(w, access.SessionCookie(c.Text, p.HTTPS))
	http.Redirect(w, r, form.Next, http.StatusSeeOther)
}

func (p *pages) logOut(w http.ResponseWriter, r *http.Request) {
	who := access.From(r.Context())
	if who.Session != "" {
		if err := p.Desk.Store.EndSession(r.Context(), who.Tenant, who.Actor, who.Session); err != nil {
			p.fail(w, r, err)
			return
		}
	}
	http.SetCookie(w, access.SessionCookie("", p.HTTPS))
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// invitationForm is what somebody typed whose invitation was refused.
type invitationForm struct {
	Invitation, Name, Email string
}

// showInvitation shows the form for an invitation. Its code is behind the # of the link,
// where only a script sees it; without one people paste it.
func (p *pages) showInvitation(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, http.StatusOK, "invite", frame{Title: "invite.title", Script: true, Page: invitationForm{}})
}

func (p *pages) accept(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	form := invitationForm{
		Invitation: codeOf(r.PostFormValue("invitation")), Name: r.PostFormValue("name"), Email: r.PostFormValue("email"),
	}
	by := access.From(r.Context()).Actor
	by.Kind = inbox.Anonymous
	_, err := p.Guard.Accept(r.Context(), by, form.Invitation, store.Acceptance{Name: form.Name, Email: form.Email}, r.PostFormValue("password"))
	if err != nil {
		p.show(w, r, statusOf(err), "invite", frame{Title: "invite.title", Script: true, Flash: p.words(r, err), Page: form})
		return
	}
	http.Redirect(w, r, "/login?welcome=1", http.StatusSeeOther)
}

// codeOf is the code of an invitation; people also paste the whole link.
func codeOf(s string) string {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '#' {
			return s[i+1:]
		}
	}
	return s
}
