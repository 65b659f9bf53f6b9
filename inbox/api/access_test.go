package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/pquerna/otp/totp"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/api"
	"parley/store"
	"parley/store/storetest"
)

// operations are all of the API, by their description.
func operations() map[string]*huma.Operation {
	all := map[string]*huma.Operation{}
	for _, item := range api.Describe(http.NewServeMux(), api.Options{}).Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete, item.Options, item.Head, item.Patch, item.Trace} {
			if op != nil {
				all[op.OperationID] = op
			}
		}
	}
	return all
}

func TestEveryOperationDeclaresWhoMayCallIt(t *testing.T) {
	t.Parallel()
	for id, op := range operations() {
		if op.Extensions["x-parley-access"] == nil {
			t.Errorf("%s (%s %s) does not say who may call it: add it to rules in access_rules.go", id, op.Method, op.Path)
		}
	}
	for id := range api.Rules() {
		if operations()[id] == nil {
			t.Errorf("access_rules.go has a rule for %s, which is no operation", id)
		}
	}
	for id, rule := range api.Rules() {
		if !rule.Valid() {
			t.Errorf("the rule of %s is not valid: %+v", id, rule)
		}
	}
}

func TestNobodyIsLetInWithoutCredentials(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	other, err := w.db.CreateTenant(t.Context(), "Other")
	if err != nil {
		t.Fatal(err)
	}
	for id, op := range operations() {
		if api.Rules()[id].Public {
			continue
		}
		path := w.fill(op, w.a)
		for who, what := range map[string]string{
			"": "nobody", "parley=parley_ses_x": "a broken cookie", "parley_tok_x": "a broken token",
			"parley=" + w.a.tokenSecret:                        "a token as a cookie",
			strings.Replace(w.a.session, "parley=", "", 1):     "a session as a token",
			w.a.tokenSecret[:len(w.a.tokenSecret)-1]:           "a token that is cut short",
			strings.ToUpper(w.a.tokenSecret[:12]) + "AAAAAAAA": "an invented token",
		} {
			// The tenant's name lets nobody in.
			res := w.send(who, op.Method, path, "", "Parley-Tenant", string(other.ID))
			if res.StatusCode != 401 || op.Method != http.MethodHead && !strings.Contains(res.body, `"unauthorized"`) || res.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s with %s: %d %s", id, what, res.StatusCode, res.body)
			}
		}
	}
}

func TestRolesAndScopes(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	who := map[inbox.Role]string{inbox.Owner: w.a.session}
	for _, role := range []inbox.Role{inbox.Admin, inbox.Agent, inbox.ReadOnly} {
		email := string(role) + "@acme.example"
		w.join(w.a, email, role)
		who[role] = w.logIn(w.a, email)
	}
	for id, op := range operations() {
		rule := api.Rules()[id]
		if rule.Public || id == "log-out" || id == "stream" {
			continue
		}
		for role, session := range who {
			allowed := !rule.Operator && role.AtLeast(rule.Role)
			// Of something that is not there, so that nothing changes.
			res := w.send(session, op.Method, strings.NewReplacer("{chat}", "999", "{user}", "999", "{upload}", "999", "{message}", "999", "{delivery}", "999",
				"{id}", "0000000a-0000-4000-8000-000000000009", "{webhook}", "0000000a-0000-4000-8000-000000000009", "{channel}", "nothing").Replace(op.Path), "")
			if (res.StatusCode != 403) != allowed {
				t.Errorf("%s as %s: %d, allowed is %v: %s", id, role, res.StatusCode, allowed, res.body)
			}
		}
		allowed := !rule.Operator && inbox.Agent.AtLeast(rule.Role) && (rule.Scope == "chats:read" || rule.Scope == "chats:write")
		if res := w.send(w.a.tokenSecret, op.Method, w.fill(op, w.b), ""); (res.StatusCode != 403) != allowed {
			t.Errorf("%s with a token for chats: %d, allowed is %v: %s", id, res.StatusCode, allowed, res.body)
		}
	}
}

func TestLogInTellsNothing(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	disabled := w.join(w.a, "gone@acme.example", inbox.Agent)
	w.ask(w.a.session, "PATCH", fmt.Sprintf("/api/v1/users/%d", disabled.ID), `{"disabled":true}`, 200, nil)
	var bodies []string
	for _, body := range []string{
		`{"tenant":"Acme","email":"owner@acme.example","password":"not the password"}`,
		`{"tenant":"Acme","email":"nobody@acme.example","password":"correct horse battery"}`,
		`{"tenant":"Acme","email":"gone@acme.example","password":"correct horse battery"}`,
		`{"tenant":"Nowhere","email":"owner@acme.example","password":"correct horse battery"}`,
		`{"tenant":"Bakery","email":"owner@acme.example","password":"correct horse battery"}`,
		`{"email":"owner@acme.example","password":"correct horse battery"}`, // there are two tenants
		`{"tenant":"Acme","email":"operator@parley.invalid","password":""}`,
	} {
		res := w.ask("", "POST", "/api/v1/session", body, 401, nil)
		if len(res.Cookies()) > 0 {
			t.Errorf("%s gets a cookie", body)
		}
		bodies = append(bodies, res.body)
	}
	if slices.Sort(bodies); len(slices.Compact(bodies)) != 1 {
		t.Errorf("the answers differ: %q", bodies)
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	guess := `{"tenant":"Acme","email":"%s","password":"a wrong guess"}`
	for _, email := range []string{"owner@acme.example", "nobody@acme.example"} {
		for range 5 {
			w.ask("", "POST", "/api/v1/session", fmt.Sprintf(guess, email), 401, nil)
		}
		// The right password must wait as well, or guessing would go on.
		res := w.ask("", "POST", "/api/v1/session", strings.Replace(fmt.Sprintf(guess, email), "a wrong guess", password, 1), 429, nil)
		if res.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	w.ask(w.a.session, "GET", "/api/v1/me", "", 200, nil) // who is in stays in
	w.logIn(w.b, w.b.owner.Email)                         // others go on
	storetest.Exec(t, w.url, "UPDATE parley_throttle SET blocked_until = now()")
	w.logIn(w.a, w.a.owner.Email)
	// From one address, whoever it is about.
	for i := range 21 {
		w.send("", "POST", "/api/v1/session", fmt.Sprintf(guess, fmt.Sprintf("n%d@acme.example", i)))
	}
	w.ask("", "POST", "/api/v1/session", fmt.Sprintf(guess, "new@acme.example"), 429, nil)
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	res := w.ask("", "POST", "/api/v1/session", fmt.Sprintf(`{"tenant":"Acme","email":%q,"password":%q}`, w.a.owner.Email, password), 201, nil)
	c := res.Cookies()[0]
	if c.Name != "parley" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie is %+v", c)
	}
	if strings.Contains(res.body, c.Value) {
		t.Error("scripts can read the session")
	}
	session := c.Name + "=" + c.Value
	var me api.Me
	w.ask(session, "GET", "/api/v1/me", "", 200, &me)
	if me.Kind != inbox.UserActor || me.Role != inbox.Owner || me.Tenant != w.a.tenant.ID {
		t.Errorf("me is %+v", me)
	}
	w.ask(session, "DELETE", "/api/v1/session", "", 200, nil)
	w.ask(session, "GET", "/api/v1/me", "", 401, nil)
	w.ask(w.a.session, "GET", "/api/v1/me", "", 200, nil) // the other device goes on
}

// How long each lets somebody in.
func TestHowLongCredentialsLast(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	const day = 24 * 60 * 60
	session := w.ask("", "POST", "/api/v1/session", fmt.Sprintf(`{"tenant":"Acme","email":%q,"password":%q}`, w.a.owner.Email, password), 201, nil)
	if c := session.Cookies()[0]; c.MaxAge != 30*day {
		t.Errorf("the cookie lasts %d s", c.MaxAge)
	}
	w.ask(w.a.session, "POST", "/api/v1/invitations", `{"email":"x@example.com","role":"agent"}`, 201, nil)
	agent := w.join(w.a, "agent@acme.example", inbox.Agent)
	w.ask(w.a.session, "POST", fmt.Sprintf("/api/v1/users/%d/reset", agent.ID), "", 201, nil)
	for what, tt := range map[string]struct {
		sql  string
		want int64
	}{
		"a session":     {"SELECT max(extract(epoch FROM expires_at - created_at))::bigint FROM parley_sessions", 30 * day},
		"an unused one": {"SELECT max(extract(epoch FROM idle))::bigint FROM parley_sessions", 3 * day},
		"an invitation": {"SELECT max(extract(epoch FROM expires_at - created_at))::bigint FROM parley_invitations WHERE email = 'x@example.com'", 3 * day},
		"a reset":       {"SELECT max(extract(epoch FROM expires_at - created_at))::bigint FROM parley_invitations WHERE user_id IS NOT NULL", day},
	} {
		if got := storetest.Int(t, w.url, tt.sql); got != tt.want {
			t.Errorf("%s lasts %d s, not %d", what, got, tt.want)
		}
	}
}

func TestSecureCookie(t *testing.T) {
	t.Parallel()
	c := access.SessionCookie("x", true)
	if c.Name != "__Host-parley" || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie is %+v", c)
	}
}

func TestSecondFactor(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	var factor struct{ Secret, URL string }
	w.ask(w.a.session, "POST", "/api/v1/me/second-factor", "", 200, &factor)
	code := func(at time.Time) string {
		t.Helper()
		code, err := totp.GenerateCode(factor.Secret, at)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	w.ask(w.a.session, "PUT", "/api/v1/me/second-factor", fmt.Sprintf(`{"secret":%q,"code":"000000x"}`, factor.Secret), 422, nil)
	w.ask(w.a.session, "PUT", "/api/v1/me/second-factor", fmt.Sprintf(`{"secret":%q,"code":%q}`, factor.Secret, code(w.now)), 200, nil)
	logIn := func(code string, status int) {
		t.Helper()
		w.ask("", "POST", "/api/v1/session", fmt.Sprintf(`{"tenant":"Acme","email":%q,"password":%q,"code":%q}`, w.a.owner.Email, password, code), status, nil)
	}
	logIn("", 401)
	logIn(code(w.now), 401) // it confirmed the second factor
	w.now = w.now.Add(time.Minute)
	logIn(code(w.now), 201)
	logIn(code(w.now), 401) // it was used
	w.now = w.now.Add(time.Minute)
	logIn(code(w.now), 201)
	if n := storetest.Int(t, w.url, "SELECT count(*) FROM core_users WHERE position($1::bytea IN totp) > 0", []byte(factor.Secret)); n != 0 {
		t.Error("the secret is stored as it is")
	}
	w.ask(w.a.session, "PUT", "/api/v1/me/second-factor", fmt.Sprintf(`{"secret":%q,"code":%q}`, factor.Secret, code(time.Now())), 409, nil)
}

func TestRevokedCredentialsEndAtOnce(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	w.ask(w.a.tokenSecret, "GET", "/api/v1/chats", "", 200, nil)
	w.ask(w.a.session, "DELETE", "/api/v1/tokens/"+w.a.token, "", 200, nil)
	w.ask(w.a.tokenSecret, "GET", "/api/v1/chats", "", 401, nil)
	agent := w.join(w.a, "agent@acme.example", inbox.Agent)
	session := w.logIn(w.a, agent.Email)
	w.ask(session, "GET", "/api/v1/chats", "", 200, nil)
	w.ask(w.a.session, "PATCH", fmt.Sprintf("/api/v1/users/%d", agent.ID), `{"role":"read_only"}`, 200, nil)
	w.ask(session, "POST", fmt.Sprintf("/api/v1/chats/%d/read", w.a.chat), `{"seq":1}`, 403, nil)
	w.ask(w.a.session, "PATCH", fmt.Sprintf("/api/v1/users/%d", agent.ID), `{"disabled":true}`, 200, nil)
	w.ask(session, "GET", "/api/v1/chats", "", 401, nil)
}

func TestNobodyRaisesThemselves(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	admin := w.join(w.a, "admin@acme.example", inbox.Admin)
	session := w.logIn(w.a, admin.Email)
	w.ask(session, "PATCH", fmt.Sprintf("/api/v1/users/%d", admin.ID), `{"role":"owner"}`, 403, nil)
	w.ask(session, "PATCH", fmt.Sprintf("/api/v1/users/%d", w.a.owner.ID), `{"disabled":true}`, 403, nil)
	w.ask(session, "POST", fmt.Sprintf("/api/v1/users/%d/reset", w.a.owner.ID), "", 403, nil)
	w.ask(session, "POST", "/api/v1/invitations", `{"email":"x@example.com","role":"owner"}`, 403, nil)
	w.ask(session, "POST", "/api/v1/tokens", `{"name":"x","role":"owner","scopes":["users:write"]}`, 422, nil) // no token is one
	var tok api.MadeToken
	w.ask(session, "POST", "/api/v1/tokens", `{"name":"x","role":"admin","scopes":["users:write"]}`, 201, &tok)
	w.ask(tok.Secret, "POST", "/api/v1/tokens", `{"name":"y","role":"admin","scopes":["chats:write"]}`, 403, nil)
	w.ask(tok.Secret, "POST", "/api/v1/me/second-factor", "", 403, nil)
	w.ask(w.a.session, "PATCH", fmt.Sprintf("/api/v1/users/%d", w.a.owner.ID), `{"role":"agent"}`, 409, nil)
}

func TestCreatesWithAKeyCreateOnce(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	var first, again api.Link
	body := `{"email":"new@example.com","role":"agent"}`
	w.ask(w.a.session, "POST", "/api/v1/invitations", body, 201, &first, "Idempotency-Key", "k")
	w.ask(w.a.session, "POST", "/api/v1/invitations", body, 201, &again, "Idempotency-Key", "k")
	if first.ID != again.ID || !strings.HasPrefix(first.Link, "https://inbox.example.com/invite#parley_inv_") || again.Link != "" {
		t.Errorf("%+v and %+v", first, again)
	}
	w.ask(w.a.session, "POST", "/api/v1/invitations", strings.Replace(body, "new", "old", 1), 409, nil, "Idempotency-Key", "k")
	var theirs api.Link
	w.ask(w.b.session, "POST", "/api/v1/invitations", body, 201, &theirs, "Idempotency-Key", "k")
	if theirs.ID == first.ID {
		t.Error("another tenant's key")
	}
	var tok, same api.MadeToken
	body = `{"name":"n","role":"agent","scopes":["chats:write","chats:read"]}`
	w.ask(w.a.session, "POST", "/api/v1/tokens", body, 201, &tok, "Idempotency-Key", "k")
	w.ask(w.a.session, "POST", "/api/v1/tokens", body, 201, &same, "Idempotency-Key", "k")
	if tok.ID != same.ID || tok.Secret == "" || same.Secret != "" {
		t.Errorf("%+v and %+v", tok, same)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	var all []int64
	path := "/api/v1/audit-log?limit=2"
	for range 50 {
		var entries api.List[store.AuditEntry]
		w.ask(w.a.session, "GET", path, "", 200, &entries)
		for _, e := range entries.Items {
			all = append(all, e.ID)
		}
		if entries.Next == "" {
			break
		}
		path = "/api/v1/audit-log?limit=2&cursor=" + entries.Next
	}
	want := storetest.Int(t, w.url, "SELECT count(*) FROM parley_audit_log WHERE tenant_id = $1", string(w.a.tenant.ID))
	if int64(len(all)) != want || !slices.IsSortedFunc(all, func(a, b int64) int { return int(b - a) }) {
		t.Errorf("%v, expected %d of them", all, want)
	}
	for _, path := range []string{"audit-log", "users", "tokens", "invitations"} {
		w.ask(w.a.session, "GET", "/api/v1/"+path+"?cursor=%27", "", 422, nil)
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
	} {
		w.ask(w.a.session, "POST", "/api/v1/channels/Support/pause", "", 403, nil, header...)
		w.ask("", "POST", "/api/v1/session", `{"email":"a@b.c","password":"x"}`, 403, nil, header...)
	}
	w.ask(w.a.session, "POST", "/api/v1/channels/Support/pause", "", 200, nil, "Sec-Fetch-Site", "same-origin")
	// The pages' forms stand behind the same.
	stop, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	var reached []string
	pages := api.Public(api.Options{Desk: w.desk, Guard: w.guard, Stop: stop, Pages: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached = append(reached, r.Header.Get("Sec-Fetch-Site"))
	})})
	for _, site := range []string{"cross-site", "same-site", "same-origin"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", nil)
		r.Header.Set("Sec-Fetch-Site", site)
		pages.ServeHTTP(httptest.NewRecorder(), r)
	}
	if len(reached) != 1 || reached[0] != "same-origin" {
		t.Errorf("forms were posted from %q", reached)
	}
	res := w.ask(w.a.session, "GET", "/api/v1/me", "", 200, nil)
	if res.Header.Get("Access-Control-Allow-Origin") != "" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers are %v", res.Header)
	}
}

func TestOversizedBodies(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	for _, path := range []string{"/api/v1/session", "/api/v1/invitations/accept"} {
		w.ask("", "POST", path, `{"email":"`+strings.Repeat("x", 2<<20)+`"}`, 413, nil)
	}
	// And of who is let in, whatever they ask for.
	tried := 0
	for id, op := range operations() {
		rule := api.Rules()[id]
		if op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil || rule.Operator || rule.Public {
			continue
		}
		tried++
		if res := w.send(w.a.session, op.Method, w.fill(op, w.a), `{"text":"`+strings.Repeat("x", 2<<20)+`"}`); res.StatusCode != 413 {
			t.Errorf("%s: %d %.200s", id, res.StatusCode, res.body)
		}
	}
	if tried < 30 {
		t.Errorf("only %d operations were tried", tried)
	}
}
