package web

import (
	"crypto/rand"
	"net/http"
	"strconv"

	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

func (p *pages) userPages(mux *http.ServeMux) {
	mux.Handle("GET /users", p.forAgents(p.showUsers))
	mux.Handle("POST /users", p.change(inbox.Admin, "", p.invite))
	mux.Handle("GET /users/{user}", p.looking(inbox.Admin, p.showUser))
	mux.Handle("POST /users/{user}", p.change(inbox.Admin, "", p.changeUser))
	mux.Handle("POST /users/{user}/reset", p.change(inbox.Admin, "", p.resetUser))
	mux.Handle("POST /invitations/{invitation}/revoke", p.change(inbox.Admin, "", p.revokeInvitation))
}

// accountsAtOnce is how many users, or tokens, a page lists.
const accountsAtOnce = 200

// usersPage is who works here.
type usersPage struct {
	Users []store.Account
	// Next is the link to the next page, empty on the last.
	Next string
	// Invite is nil for who may not; Waiting are the invitations not yet used.
	Invite  *form
	Waiting []store.Invitation
	// Link is an invitation that was just made, For whom.
	Link, For string
	// Reset says that it is for choosing another password.
	Reset bool
}

// roles are those that somebody may give: none above their own.
func (p *pages) roles(r *http.Request) (list []pair) {
	for _, role := range []inbox.Role{inbox.Agent, inbox.Admin, inbox.Owner, inbox.ReadOnly} {
		if may(r, role) {
			list = append(list, pair{string(role), p.looks.choose(r).text("role." + string(role))})
		}
	}
	return list
}

func (p *pages) usersPage(r *http.Request) (usersPage, error) {
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	var page usersPage
	var err error
	if page.Users, err = p.Desk.Store.Accounts(r.Context(), tenantOf(r), max(after, 0), accountsAtOnce+1); err != nil {
		return page, err
	}
	if len(page.Users) > accountsAtOnce {
		page.Users = page.Users[:accountsAtOnce]
		page.Next = "/users?after=" + decimal(page.Users[accountsAtOnce-1].ID)
	}
	if !may(r, inbox.Admin) {
		return page, nil
	}
	page.Invite = &form{
		Action: "/users", Submit: "users.invite", Hidden: []pair{{"key", rand.Text()}},
		Fields: []field{
			{Name: "email", Label: "users.email", Kind: "email", Required: true, Max: 255, Auto: "off"},
			{Name: "role", Label: "users.role", Kind: "select", Options: p.roles(r), Value: string(inbox.Agent), Help: "users.role_help"},
		},
	}
	all, err := p.Desk.Store.Invitations(r.Context(), tenantOf(r), "", accountsAtOnce)
	for _, v := range all {
		if v.UsedAt == nil && v.RevokedAt == nil {
			page.Waiting = append(page.Waiting, v)
		}
	}
	return page, err
}

func (p *pages) showUsers(w http.ResponseWriter, r *http.Request) {
	p.reshowUsers(w, r, http.StatusOK, func(*usersPage) {})
}

func (p *pages) reshowUsers(w http.ResponseWriter, r *http.Request, status int, also func(*usersPage)) {
	page, err := p.usersPage(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	also(&page)
	p.show(w, r, status, "users", frame{Title: "users.title", Here: "users", Script: true, Page: page})
}

// link makes an invitation or a reset; the text is empty when the same form had
// made it before.
func (p *pages) link(r *http.Request, n store.NewInvitation) (string, error) {
	c, err := access.NewCredential(access.InvitationKind, tenantOf(r))
	if err != nil {
		return "", err
	}
	n.Hash, n.Key = c.Hash(), r.PostFormValue("key")
	who := access.From(r.Context())
	if _, made, err := p.Desk.Store.Invite(r.Context(), who.Tenant, who.Actor, who.Role, n); err != nil || !made {
		return "", err
	}
	return access.InvitationLink(p.URL, c), nil
}

func (p *pages) invite(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	email := r.PostFormValue("email")
	link, err := p.link(r, store.NewInvitation{Email: email, Role: inbox.Role(r.PostFormValue("role")), Life: access.InvitationLife})
	if err != nil {
		p.reshowUsers(w, r, statusOf(err), func(page *usersPage) {
			p.refuse(r, page.Invite, err, pair{"role", "role"}, pair{"email", "address"}, pair{"email", "email"}, pair{"email", "@"})
		})
		return
	}
	p.reshowUsers(w, r, http.StatusOK, func(page *usersPage) { page.Link, page.For = link, email })
}

func (p *pages) revokeInvitation(w http.ResponseWriter, r *http.Request) {
	if err := p.Desk.Store.RevokeInvitation(r.Context(), tenantOf(r), access.From(r.Context()).Actor, r.PathValue("invitation")); err != nil {
		p.fail(w, r, err)
		return
	}
	done(w, r, "/users", "invitation_revoked")
}

// userPage is one user.
type userPage struct {
	store.Account
	Edit form
	// Key makes a reset link once.
	Key string
}

func (p *pages) userPage(r *http.Request) (userPage, error) {
	u, err := p.Desk.Store.Account(r.Context(), tenantOf(r), number(r, "user"))
	page := userPage{Account: u, Key: rand.Text(), Edit: form{
		Action: "/users/" + decimal(u.ID), Submit: "form.save", Hidden: []pair{{"version", decimal(u.Version)}},
		Fields: []field{
			{Name: "role", Label: "users.role", Kind: "select", Options: p.roles(r), Value: string(u.Role), Help: "users.role_help"},
			{Name: "disabled", Label: "users.disabled", Kind: "checkbox", Help: "users.disabled_help"},
		},
	}}
	if u.Role == inbox.Owner && !may(r, inbox.Owner) {
		page.Edit.Fields[0].Options = []pair{{string(inbox.Owner), p.looks.choose(r).text("role.owner")}}
	}
	if u.DisabledAt != nil {
		page.Edit.Fields[1].Value = "on"
	}
	return page, err
}

func (p *pages) showUser(w http.ResponseWriter, r *http.Request) {
	page, err := p.userPage(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, "user", frame{Title: "users.one", Here: "users", Script: true, Page: page})
}

func (p *pages) changeUser(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil || version < 1 {
		p.fail(w, r, &inbox.Error{Code: inbox.Unversioned, Message: "form.broken", Err: err})
		return
	}
	role, disabled := inbox.Role(r.PostFormValue("role")), r.PostFormValue("disabled") != ""
	who := access.From(r.Context())
	if _, err = p.Desk.Store.ChangeAccount(r.Context(), who.Tenant, who.Actor, who.Role, number(r, "user"), store.AccountChange{
		Role: &role, Disabled: &disabled, Version: version,
	}); err != nil {
		page, again := p.userPage(r)
		if again != nil {
			p.fail(w, r, again)
			return
		}
		p.refuse(r, &page.Edit, err, pair{"role", "owner"}, pair{"role", "role"})
		p.show(w, r, statusOf(err), "user", frame{Title: "users.one", Here: "users", Script: true, Page: page})
		return
	}
	done(w, r, "/users", "user_changed")
}

func (p *pages) resetUser(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	u, err := p.Desk.Store.Account(r.Context(), tenantOf(r), number(r, "user"))
	var link string
	if err == nil {
		link, err = p.link(r, store.NewInvitation{User: u.ID, Life: access.ResetLife})
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.reshowUsers(w, r, http.StatusOK, func(page *usersPage) { page.Link, page.For, page.Reset = link, u.Name, true })
}
