package web

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/inbox"
	"parley/inbox/desk"
)

// TestTexts holds the templates against the catalog: each text that is used is
// there, and each that is there is used.
func TestTexts(t *testing.T) {
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	l, err := loadLooks(a)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	err = fs.WalkDir(embedded, "templates", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := embedded.ReadFile(name)
		all.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	used := []string{
		"login.title", "login.welcome", "invite.title", "inbox.title", "error.internal", "page.not_found", "chat.not_found",
		"message.not_found", "message.no_html", "reply.broken", "reply.too_many_files", "error.role_agent", "deliveries.title",
		"panel.erase_name", "done.client_erased", "status.snoozed", "status.closed", "time.missing", "template.missing",
	}
	for _, m := range regexp.MustCompile(`\{t "([a-z_.]+)"`).FindAllStringSubmatch(all.String(), -1) {
		used = append(used, m[1])
	}
	used = append(used, textsInCode(t)...)
	for _, s := range []inbox.DeliveryState{
		inbox.Queued, inbox.Sending, inbox.Uncertain, inbox.Sent, inbox.Delivered, inbox.Read, inbox.Failed, inbox.Cancelled,
	} {
		used = append(used, "tick."+string(s), "tick."+string(s)+"_help")
	}
	for _, f := range readFilters(nil, inbox.ChatCounts{}, nil).Folders {
		used = append(used, f.Text)
	}
	for _, p := range presets(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), time.UTC) {
		used = append(used, p.Text)
	}
	for _, why := range []string{"new", "member", "identity", "phone", "email", "username", "token", "unproven", "other"} {
		used = append(used, "routed."+why)
	}
	for _, why := range []string{"token", "thread", "address", "phone"} {
		used = append(used, "link."+why)
	}
	for _, transport := range []string{"telegram", "sms", "whatsapp", "email"} {
		used = append(used, "transport."+transport)
	}
	if len(used) < 50 {
		t.Fatalf("only %d texts found in the templates", len(used))
	}
	for _, look := range l.by {
		for _, id := range used {
			if look.text(id, "n", 2, "kind", "x") == id {
				t.Errorf("%s has no text %q", look.lang, id)
			}
		}
	}
	data, err := embedded.ReadFile("locales/active.en.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^  "([a-z_.]+)":`).FindAllStringSubmatch(string(data), -1) {
		if !slices.Contains(used, m[1]) {
			t.Errorf("the text %q is used nowhere", m[1])
		}
	}
}

// textsInCode are the ids of texts that the package's own code names: whatever
// looks like one there.
func textsInCode(t *testing.T) (ids []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	data, err := embedded.ReadFile("locales/active.en.json")
	if err != nil {
		t.Fatal(err)
	}
	known := func(id string) bool { return strings.Contains(string(data), `"`+id+`":`) }
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		code, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"([a-z_]+\.[a-z_]+)"`).FindAllStringSubmatch(string(code), -1) {
			if known(m[1]) {
				ids = append(ids, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`done\(w, r, .*, "([a-z_]+)"\)`).FindAllStringSubmatch(string(code), -1) {
			ids = append(ids, "done."+m[1])
		}
		for _, m := range regexp.MustCompile(`\b(Text|Label|Help|Submit|Title|Intro): +"([a-z_.]+)"`).FindAllStringSubmatch(string(code), -1) {
			ids = append(ids, m[2])
		}
	}
	for _, kind := range []string{"email", "phone", "telegram", "whatsapp", "other"} {
		ids = append(ids, "contact."+kind)
	}
	for _, from := range []string{"client", "agent", "business", "asked"} {
		ids = append(ids, "templates.from_"+from)
	}
	for _, role := range []string{"agent", "admin", "owner"} {
		ids = append(ids, "error.role_"+role, "role."+role)
	}
	ids = append(ids, "role.read_only", "tokens.revoked", "tokens.expired", "webhooks.sent")
	for _, verb := range []string{"enable", "disable", "test", "replay"} {
		ids = append(ids, "done.webhook_"+verb)
	}
	for _, state := range []string{"connected", "degraded", "needs_attention", "paused", "starting"} {
		ids = append(ids, "channels.state_"+state)
	}
	for transport := range channelFields() {
		ids = append(ids, "channels.guide_"+string(transport))
	}
	return ids
}

func TestTextParts(t *testing.T) {
	for text, want := range map[string][]textPart{
		"":                           nil,
		"no link.here":               {{Words: "no link.here"}},
		"see https://a.example/x.":   {{Words: "see "}, {Words: "https://a.example/x", Link: "https://a.example/x"}, {Words: "."}},
		"javascript:alert(1)":        {{Words: "javascript:alert(1)"}},
		"http://a.example\nand more": {{Words: "http://a.example", Link: "http://a.example"}, {Words: "\nand more"}},
	} {
		if got := textParts(text); !slices.Equal(got, want) {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestLocalPath(t *testing.T) {
	for next, want := range map[string]string{
		"/inbox/7?before=3": "/inbox/7?before=3", "/clients?search=a": "/clients?search=a", "/clientsx": "/inbox", "/login": "/inbox", "": "/inbox", "//evil.example": "/inbox", "https://evil.example": "/inbox",
		"/inbox\\@evil": "/inbox", "/api/v1/me": "/inbox",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

// TestStrangersSeeNoPage asks for each page without having logged in.
func TestStrangersSeeNoPage(t *testing.T) {
	h, err := New(Options{Desk: &desk.Desk{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/inbox", "/inbox/1", "/inbox/1/messages?after=1", "/inbox/1/messages/1", "/deliveries", "/messages/1/html", "/clients", "/clients/new", "/clients/1", "/templates", "/templates/1", "/channels", "/connect/telegram", "/users", "/users/1", "/tokens", "/webhooks", "/webhooks/x", "/audit-log", "/profile", "/messages/1/journey", "/quarantine", "/quarantine/1"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/login") {
			t.Errorf("%s: %d, to %q", path, w.Code, to)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("Parley-Fragment", "1")
		w = httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized || w.Body.Len() > 0 {
			t.Errorf("a part of %s: %d %s", path, w.Code, w.Body)
		}
	}
}

// TestPageWeight keeps what a page loads below what a slow line takes in a second.
func TestPageWeight(t *testing.T) {
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for name, f := range a.files {
		if f.kind == "" {
			t.Errorf("%s has no media type", name)
		}
		total += len(f.zipped)
	}
	if total > 100_000 {
		t.Errorf("scripts, styles and icons weigh %d bytes compressed", total)
	}
}

// TestPagesAreCompressed tells who may have a page compressed: not whom another
// site sent, who could guess from the length what else is on it.
func TestPagesAreCompressed(t *testing.T) {
	h, err := New(Options{Desk: &desk.Desk{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		accept, site string
		want         bool
	}{
		{"gzip, br", "same-origin", true}, {"gzip", "none", true}, {"gzip", "cross-site", false}, {"gzip", "same-site", false}, {"gzip", "", false}, {"br", "same-origin", false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/invite", nil)
		r.Header.Set("Accept-Encoding", c.accept)
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		body := io.Reader(w.Body)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != c.want {
			t.Errorf("%+v: compressed is %v", c, got)
		} else if got {
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		if page, err := io.ReadAll(body); err != nil || !strings.Contains(string(page), "</html>") {
			t.Errorf("%+v: %.100q, %v", c, page, err)
		}
	}
}

// TestFollowedFacts holds the facts that an open page follows against those that
// are published.
func TestFollowedFacts(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "asyncapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	var published, followed []string
	for _, m := range regexp.MustCompile(`address: parley\.fact\.\{tenant\}\.([a-z]+\.[a-z_]+)\.`).FindAllStringSubmatch(string(document), -1) {
		if m[1] != "webhook.disabled" { // the inbox shows nothing of it
			published = append(published, m[1])
		}
	}
	for _, m := range regexp.MustCompile(`"((?:attachment|chat|client|member|message|note)\.[a-z_]+)"`).FindAllStringSubmatch(string(a.files["live.js"].plain), -1) {
		followed = append(followed, m[1])
	}
	slices.Sort(published)
	slices.Sort(followed)
	if followed = slices.Compact(followed); len(published) < 30 || !slices.Equal(published, followed) {
		t.Errorf("published are\n%q\nfollowed are\n%q", published, followed)
	}
}

// TestModules holds what pages load ahead against what the scripts import.
func TestModules(t *testing.T) {
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for next := []string{"parley.js"}; len(next) > 0; next = next[1:] {
		for _, m := range regexp.MustCompile(`from "\./([a-z]+\.js)"`).FindAllStringSubmatch(string(a.files[next[0]].plain), -1) {
			if path := a.base + m[1]; !slices.Contains(want, path) {
				want, next = append(want, path), append(next, m[1])
			}
		}
	}
	slices.Sort(want)
	if got := a.modules(); !slices.Equal(got, want) {
		t.Errorf("loaded ahead are %q, imported %q", got, want)
	}
}
