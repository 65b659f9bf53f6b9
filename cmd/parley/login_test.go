package main

import (
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"parley/inbox"
	"parley/inbox/access"
)

// The page asks for the second factor's code where there is one, and offers the
// provider, for the business that is named.
func TestLogInPage(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	const issuer = "https://id.example.com"
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0") // where nobody else listens
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	_ = l.Close()
	address := "http://" + free
	o := employ(t, start(t, Config{
		DataDir: dir, APIListen: free, APIURL: address, OIDC: access.OIDCOptions{Issuer: issuer, ClientID: "parley"},
	}), dir)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	page := func(path string, form url.Values) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+path, nil)
		if form != nil {
			req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, address+path, strings.NewReader(form.Encode()))
		}
		if err != nil {
			t.Fatal(err)
		}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, html.UnescapeString(string(data))
	}
	const link = `<a href="/api/v1/session/oidc">Sign in with id.example.com</a>`
	if _, text := page("/login", nil); !strings.Contains(text, link) {
		t.Errorf("no link to the provider in\n%s", text)
	}

	tenant, err := o.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := o.Desk.Store.Accounts(t.Context(), tenant.ID, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := access.NewTOTP(agentEmail)
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range accounts {
		if who.Email != agentEmail {
			continue
		}
		sealed, err := o.Guard.SealTOTP(tenant.ID, who.ID, secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Desk.Store.SetTOTP(t.Context(), tenant.ID, inbox.Actor{Kind: inbox.Operator}, who.ID, sealed, 0); err != nil {
			t.Fatal(err)
		}
	}
	code, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"email": {agentEmail}, "password": {o.password}}
	status, text := page("/login", form)
	if status != http.StatusUnauthorized || !strings.Contains(text, "The log-in failed") || !strings.Contains(text, link) || strings.Contains(text, o.password) {
		t.Errorf("without a code: %d\n%s", status, text)
	}
	form.Set("code", code)
	if status, text := page("/login", form); status != http.StatusSeeOther {
		t.Errorf("with a code: %d\n%s", status, text)
	}

	// With several businesses the provider is asked for the one that is named.
	if _, err := o.Desk.Store.AddTenant(t.Context(), inbox.Actor{Kind: inbox.Operator}, "Bread & Co", ""); err != nil {
		t.Fatal(err)
	}
	if _, text := page("/login", nil); strings.Contains(text, "session/oidc") || !strings.Contains(text, "<button>Sign in with id.example.com</button>") {
		t.Errorf("nobody said which business:\n%s", text)
	}
	if _, text := page("/login?tenant=Bread+%26+Co", nil); !strings.Contains(text, `href="/api/v1/session/oidc?tenant=Bread+%26+Co"`) && !strings.Contains(text, `href="/api/v1/session/oidc?tenant=Bread%20%26%20Co"`) {
		t.Errorf("no link for the business:\n%s", text)
	}
}
