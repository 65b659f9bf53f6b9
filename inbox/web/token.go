package web

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"time"

	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

func (p *pages) tokenPages(mux *http.ServeMux) {
	mux.Handle("GET /tokens", p.looking(inbox.Admin, p.showTokens))
	mux.Handle("POST /tokens", p.change(inbox.Admin, "", p.addToken))
	mux.Handle("POST /tokens/{token}/revoke", p.change(inbox.Admin, "", p.revokeToken))
}

// tokensPage is the list of programs' tokens.
type tokensPage struct {
	Tokens []tokenView
	Next   string
	Add    form
	// Secret is a token that was just made, and Made that one was.
	Secret string
	Made   bool
}

type tokenView struct {
	store.Token
	// Gone is why it lets nobody in: revoked or expired; empty while it does.
	Gone string
}

// The days that a token may be valid.
const (
	tokenDays     = 90
	mostTokenDays = 366
)

func (p *pages) tokensPage(r *http.Request) (tokensPage, error) {
	list, err := p.Desk.Store.Tokens(r.Context(), tenantOf(r), r.URL.Query().Get("after"), accountsAtOnce+1)
	var page tokensPage
	if len(list) > accountsAtOnce {
		list = list[:accountsAtOnce]
		page.Next = "/tokens?after=" + queryEscape(list[accountsAtOnce-1].ID)
	}
	for _, t := range list {
		v := tokenView{Token: t}
		switch {
		case t.RevokedAt != nil:
			v.Gone = "revoked"
		case time.Now().After(t.ExpiresAt):
			v.Gone = "expired"
		}
		page.Tokens = append(page.Tokens, v)
	}
	text := p.looks.choose(r).text
	var scopes, roles []pair
	for _, s := range access.Scopes() {
		scopes = append(scopes, pair{string(s), string(s)})
	}
	for _, role := range p.roles(r) {
		if role.Value != string(inbox.Owner) {
			roles = append(roles, role)
		}
	}
	page.Add = form{
		Action: "/tokens", Submit: "tokens.make", Hidden: []pair{{"key", rand.Text()}},
		Fields: []field{
			{Name: "name", Label: "tokens.name", Help: "tokens.name_help", Kind: "text", Required: true, Max: 100, Auto: "off"},
			{Name: "role", Label: "users.role", Help: "tokens.role_help", Kind: "select", Options: roles, Value: string(inbox.Agent)},
			{Name: "scopes", Label: "tokens.scopes", Kind: "checks", Options: scopes, Values: []string{string(access.ReadChats)}},
			{Name: "days", Label: "tokens.life", Kind: "select", Value: strconv.Itoa(tokenDays), Options: []pair{
				{"7", text("tokens.days", "n", 7)}, {"30", text("tokens.days", "n", 30)}, {"90", text("tokens.days", "n", 90)}, {"366", text("tokens.days", "n", 366)},
			}},
		},
	}
	return page, err
}

func (p *pages) reshowTokens(w http.ResponseWriter, r *http.Request, status int, also func(*tokensPage)) {
	page, err := p.tokensPage(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	also(&page)
	p.show(w, r, status, "tokens", frame{Title: "tokens.title", Here: "tokens", Script: true, Page: page})
}

func (p *pages) showTokens(w http.ResponseWriter, r *http.Request) {
	p.reshowTokens(w, r, http.StatusOK, func(*tokensPage) {})
}

func (p *pages) addToken(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	secret, err := p.makeToken(r)
	if err != nil {
		p.reshowTokens(w, r, statusOf(err), func(page *tokensPage) {
			p.refuse(r, &page.Add, err, pair{"scopes", "scope"}, pair{"role", "may not do more"}, pair{"role", "role"}, pair{"days", "days"}, pair{"name", "name"})
		})
		return
	}
	p.reshowTokens(w, r, http.StatusOK, func(page *tokensPage) { page.Secret, page.Made = secret, true })
}

// makeToken makes a token as the form says, and returns it; empty when the same
// form had made it before.
func (p *pages) makeToken(r *http.Request) (string, error) {
	who := access.From(r.Context())
	var asked []access.Scope
	for _, s := range r.PostForm["scopes"] {
		asked = append(asked, access.Scope(s))
	}
	name, role := cut(r.PostFormValue("name"), longestTemplateName), inbox.Role(r.PostFormValue("role"))
	days, err := strconv.Atoi(r.PostFormValue("days"))
	switch {
	case len(asked) == 0:
		return "", &inbox.Error{Code: inbox.Invalid, Message: "tokens.no_scope"}
	case name == "":
		return "", &inbox.Error{Code: inbox.Invalid, Message: "tokens.no_name"}
	case err != nil || days < 1 || days > mostTokenDays:
		return "", &inbox.Error{Code: inbox.Invalid, Message: "form.broken"}
	case !role.Valid() || role == inbox.Owner || !who.Role.AtLeast(role):
		return "", &inbox.Error{Code: inbox.Forbidden, Message: "tokens.too_much"}
	}
	scopes, err := access.CheckScopes(asked, who)
	if err != nil {
		return "", err
	}
	c, err := access.NewCredential(access.TokenKind, who.Tenant)
	if err != nil {
		return "", err
	}
	_, made, err := p.Desk.Store.AddToken(r.Context(), who.Tenant, who.Actor, store.NewToken{
		Name: name, Role: role, Scopes: scopes, Hash: c.Hash(), Prefix: c.Shown(), Life: time.Duration(days) * 24 * time.Hour, Key: r.PostFormValue("key"),
	})
	if err != nil || !made {
		return "", err
	}
	return c.Text, nil
}

func (p *pages) revokeToken(w http.ResponseWriter, r *http.Request) {
	if err := p.Desk.Store.RevokeToken(r.Context(), tenantOf(r), access.From(r.Context()).Actor, r.PathValue("token")); err != nil {
		p.fail(w, r, err)
		return
	}
	done(w, r, "/tokens", "token_revoked")
}
