package api_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/api"
	"parley/store/storetest"
)

// provider is a small OpenID Connect provider: discovery, keys, and a token
// endpoint that redeems each code once, for who has the verifier.
type provider struct {
	*httptest.Server
	key    *rsa.PrivateKey
	claims map[string]any
	// sign is the key that tokens are signed with.
	sign *rsa.PrivateKey
	// challenge is the S256 challenge of the sign-in under way.
	challenge string
	codes     map[string]bool
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, sign: key, codes: map[string]bool{}}
	known := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: oidc.RS256}}}
	mux := http.NewServeMux()
	mux.Handle("/", known)
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if base64.RawURLEncoding.EncodeToString(sum[:]) != p.challenge || !p.codes[r.FormValue("code")] {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		delete(p.codes, r.FormValue("code"))
		claims, _ := json.Marshal(p.claims)
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"x","token_type":"Bearer","id_token":%q}`, oidctest.SignIDToken(crypto.PrivateKey(p.sign), "k", oidc.RS256, string(claims)))
	})
	p.Server = httptest.NewServer(mux)
	known.SetIssuer(p.URL)
	t.Cleanup(p.Close)
	return p
}

// signInWorld is an installation whose people may sign in by a provider.
type signInWorld struct {
	*publicWorld
	provider *provider
}

func newSignInWorld(t *testing.T, https bool) *signInWorld {
	t.Helper()
	w := &signInWorld{publicWorld: newPublicWorld(t), provider: newProvider(t)}
	stop, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w.server.Close()
	o := access.NewOIDC(w.guard, access.OIDCOptions{
		Issuer: w.provider.URL, ClientID: "parley", ClientSecret: "secret", Domain: "acme.example", RedirectURL: "https://inbox.example.com" + api.OIDCReturn,
		Now: func() time.Time { return w.now },
	})
	w.server = httptest.NewServer(api.Public(api.Options{Desk: w.desk, Guard: w.guard, OIDC: o, HTTPS: https, Stop: stop}))
	w.server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(w.server.Close)
	return w
}

// begin goes to the provider, which gets the usual claims ready.
func (w *signInWorld) begin(tenant string) (cookie, state string) {
	w.Helper()
	res := w.ask("", "GET", "/api/v1/session/oidc?tenant="+tenant, "", 303, nil)
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil {
		w.Fatal(err)
	}
	q := to.Query()
	c := res.Cookies()[0]
	if q.Get("code_challenge_method") != "S256" || q.Get("client_id") != "parley" || len(q.Get("state")) < 20 || len(q.Get("nonce")) < 20 ||
		q.Get("redirect_uri") != "https://inbox.example.com"+api.OIDCReturn || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.MaxAge > 600 {
		w.Fatal(to, c)
	}
	w.provider.challenge, w.provider.sign = q.Get("code_challenge"), w.provider.key
	w.provider.claims = map[string]any{
		"iss": w.provider.URL, "aud": "parley", "sub": "ann", "nonce": q.Get("nonce"), "exp": w.now.Add(time.Minute).Unix(), "iat": w.now.Unix(),
		"email": "Owner@acme.example", "email_verified": true,
	}
	return c.Name + "=" + c.Value, q.Get("state")
}

func (w *signInWorld) finish(cookie, state string) answer {
	w.Helper()
	code := rand.Text()
	w.provider.codes[code] = true
	return w.send("", "GET", api.OIDCReturn+"?session_state=x&code="+code+"&state="+state, "", "Cookie", cookie)
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	w := newSignInWorld(t, false)
	for range 2 { // first by the address, then by the subject
		res := w.finish(w.begin("Acme"))
		if res.StatusCode != 303 || res.Header.Get("Location") != "/" {
			t.Fatal(res.StatusCode, res.body)
		}
		var me api.Me
		session := res.Cookies()[0]
		w.ask(session.Name+"="+session.Value, "GET", "/api/v1/me", "", 200, &me)
		if me.ID != fmt.Sprint(w.a.owner.ID) || me.Tenant != w.a.tenant.ID {
			t.Errorf("%+v", me)
		}
	}
	if n := storetest.Int(t, w.url, "SELECT count(*) FROM parley_audit_log WHERE action = 'user.link'"); n != 1 {
		t.Errorf("linked %d times", n)
	}
	// The subject is who it was, whatever its address is called by now.
	cookie, state := w.begin("Acme")
	w.provider.claims["email"] = "other@acme.example"
	if res := w.finish(cookie, state); res.StatusCode != 303 {
		t.Error(res.StatusCode, res.body)
	}
	storetest.Exec(t, w.url, "UPDATE core_users SET disabled_at = now() WHERE id = $1", w.a.owner.ID)
	if res := w.finish(w.begin("Acme")); res.StatusCode != 401 {
		t.Error("who is kept out signs in: ", res.StatusCode, res.body)
	}
}

func TestSignInRefusals(t *testing.T) {
	t.Parallel()
	w := newSignInWorld(t, false)
	w.join(w.a, "elsewhere@other.example", inbox.Agent)
	w.join(w.a, "kim@acme.example", inbox.Agent)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	users := storetest.Int(t, w.url, "SELECT count(*) FROM core_users")
	sessions := storetest.Int(t, w.url, "SELECT count(*) FROM parley_sessions")
	claim := func(changed map[string]any) func() {
		return func() { maps.Copy(w.provider.claims, changed) }
	}
	words := map[string]bool{}
	for what, change := range map[string]func(){
		"forged signature":                   func() { w.provider.sign = stranger },
		"wrong audience":                     claim(map[string]any{"aud": "somebody else"}),
		"wrong issuer":                       claim(map[string]any{"iss": "https://id.example.com"}),
		"wrong nonce":                        claim(map[string]any{"nonce": "of another sign-in"}),
		"expired":                            claim(map[string]any{"exp": w.now.Add(-time.Minute).Unix()}),
		"address not verified":               claim(map[string]any{"email_verified": false}),
		"other domain":                       claim(map[string]any{"email": "elsewhere@other.example"}),
		"a letter whose lower case is ours":  claim(map[string]any{"email": "\u212aim@acme.example", "sub": "kelvin"}),
		"an address that PostgreSQL refuses": claim(map[string]any{"email": "k\x00im@acme.example", "sub": "nul"}),
		"nobody here":                        claim(map[string]any{"email": "nobody@acme.example", "sub": "x"}),
		"other verifier":                     func() { w.provider.challenge = "of another sign-in" },
	} {
		cookie, state := w.begin("Acme")
		change()
		res := w.finish(cookie, state)
		if words[res.body] = true; res.StatusCode != 401 || len(res.Cookies()) != 0 {
			t.Errorf("%s: %d %s", what, res.StatusCode, res.body)
		}
	}
	for what, try := range map[string]func() answer{
		"another browser's state": func() answer {
			_, state := w.begin("Acme")
			cookie, _ := w.begin("Acme")
			return w.finish(cookie, state)
		},
		"no cookie":      func() answer { _, state := w.begin("Acme"); return w.finish("", state) },
		"made-up cookie": func() answer { _, state := w.begin("Acme"); return w.finish("parley_oidc=AAAA", state) },
		"too late": func() answer {
			cookie, state := w.begin("Acme")
			w.now = w.now.Add(access.SignInTime + time.Second)
			w.provider.claims["exp"] = w.now.Add(time.Minute).Unix()
			return w.finish(cookie, state)
		},
		"another tenant": func() answer { return w.finish(w.begin("Bakery")) },
		"no tenant":      func() answer { return w.finish(w.begin("Nowhere")) },
		"the provider refused": func() answer {
			cookie, state := w.begin("Acme")
			return w.send("", "GET", api.OIDCReturn+"?error=access_denied&state="+state, "", "Cookie", cookie)
		},
	} {
		res := try()
		if words[res.body] = true; res.StatusCode != 401 || len(res.Cookies()) != 0 {
			t.Errorf("%s: %d %s", what, res.StatusCode, res.body)
		}
	}
	if len(words) != 1 {
		t.Errorf("the refusals differ: %v", words)
	}
	if n := storetest.Int(t, w.url, "SELECT count(*) FROM core_users"); n != users {
		t.Errorf("%d users, and there were %d", n, users)
	}
	if n := storetest.Int(t, w.url, "SELECT count(*) FROM parley_sessions"); n != sessions {
		t.Errorf("%d sessions, and there were %d", n, sessions)
	}
	// A return that worked does not work again, with a code that would.
	cookie, state := w.begin("Acme")
	if res := w.finish(cookie, state); res.StatusCode != 303 {
		t.Fatal(res.StatusCode, res.body)
	}
	if res := w.finish(cookie, state); res.StatusCode != 401 {
		t.Errorf("a replayed state: %d %s", res.StatusCode, res.body)
	}
	// Another account of the provider with the same address is somebody else.
	cookie, state = w.begin("Acme")
	w.provider.claims["sub"] = "who has the address now"
	if res := w.finish(cookie, state); res.StatusCode != 401 {
		t.Errorf("a second subject: %d %s", res.StatusCode, res.body)
	}
}

// Over https a neighbour's host can set no cookie by which people would finish the
// neighbour's sign-in.
func TestSignInIsKeptByItsHost(t *testing.T) {
	t.Parallel()
	w := newSignInWorld(t, true)
	res := w.ask("", "GET", "/api/v1/session/oidc?tenant=Acme", "", 303, nil)
	if c := res.Cookies()[0]; !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || c.Path != "/" || c.Domain != "" || !c.HttpOnly {
		t.Errorf("browsers let others set the cookie %s", c)
	}
	cookie, state := w.begin("Acme")
	_, value, _ := strings.Cut(cookie, "=")
	if res := w.finish("parley_oidc="+value, state); res.StatusCode != 401 {
		t.Errorf("by a cookie that anybody may set: %d %s", res.StatusCode, res.body)
	}
	cookie, state = w.begin("Acme")
	if res := w.finish(cookie, state); res.StatusCode != 303 || res.Cookies()[1].Name != "__Host-parley_oidc" || res.Cookies()[1].MaxAge >= 0 {
		t.Error(res.StatusCode, res.body, res.Cookies())
	}
}

// Each caller is slowed down by itself, and behind a trusted proxy each address.
func TestLimits(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	stop, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w.server.Close()
	proxies, err := access.ParseProxies("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	// So slow that nothing comes back while the test runs.
	limiter := func(name string, burst int) *access.Limiter {
		return access.NewLimiter(access.Limit{Name: name, PerSecond: 1e-6, Burst: burst}, nil)
	}
	w.server = httptest.NewServer(api.Public(api.Options{
		Desk: w.desk, Guard: w.guard, Stop: stop, Proxies: proxies,
		Limits: &access.Limits{Address: limiter("address", 8), User: limiter("user", 3), Token: limiter("token", 3)},
	}))
	t.Cleanup(w.server.Close)
	const path = "/api/v1/me"
	for _, who := range []string{w.a.session, w.a.tokenSecret} {
		for i := range 5 {
			res := w.send(who, "GET", path, "", "X-Forwarded-For", "203.0.113.1, 198.51.100."+fmt.Sprint(i))
			if want := 200; i >= 3 {
				want = 429
				if res.StatusCode != want || res.Header.Get("Retry-After") == "" || !strings.Contains(res.body, "Wait as long as Retry-After says") {
					t.Errorf("request %d: %d %v %s", i, res.StatusCode, res.Header, res.body)
				}
			} else if res.StatusCode != want || !strings.Contains(res.Header.Get("RateLimit"), fmt.Sprintf("r=%d;", 2-i)) || res.Header.Get("RateLimit-Policy") == "" {
				t.Errorf("request %d: %d %v %s", i, res.StatusCode, res.Header, res.body)
			}
		}
	}
	w.ask(w.b.session, "GET", path, "", 200, nil, "X-Forwarded-For", "192.0.2.1") // others go on
	// Strangers are counted by their address, which they cannot choose.
	for i := range 10 {
		want := 401
		if i >= 8 {
			want = 429
		}
		if res := w.send("", "GET", path, "", "X-Forwarded-For", fmt.Sprintf("10.0.0.%d, 192.0.2.9", i)); res.StatusCode != want {
			t.Errorf("a stranger's request %d: %d", i, res.StatusCode)
		}
	}
	if res := w.send("", "GET", path, "", "X-Forwarded-For", "192.0.2.10"); res.StatusCode != 401 {
		t.Errorf("another stranger: %d", res.StatusCode)
	}
}
