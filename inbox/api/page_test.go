package api_test

import (
	"encoding/json"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox/api"
)

// The page for people has every operation, asks for nothing from elsewhere, and
// runs nothing.
func TestPageForPeople(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	res := w.ask("", "GET", "/api/", "", 200, nil)
	if got := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'none'; style-src 'self';") || strings.Contains(got, "unsafe") || strings.Contains(got, "script") {
		t.Errorf("its policy is %q", got)
	}
	if kind := res.Header.Get("Content-Type"); kind != "text/html; charset=utf-8" {
		t.Errorf("it is %s", kind)
	}
	for _, bad := range []string{"<script", "style=", "onclick", "src=", "//cdn"} {
		if strings.Contains(res.body, bad) {
			t.Errorf("it has %s", bad)
		}
	}
	for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(res.body, -1) {
		link := m[1]
		switch {
		case strings.HasPrefix(link, "#"):
			if !strings.Contains(res.body, `id="`+link[1:]+`"`) {
				t.Errorf("%s leads nowhere", link)
			}
		case strings.HasPrefix(link, "/"):
			w.ask("", "GET", link, "", 200, nil)
		default:
			t.Errorf("it links to %s", link)
		}
	}
	if css := w.ask("", "GET", "/api/page.css", "", 200, nil); !strings.HasPrefix(css.Header.Get("Content-Type"), "text/css") || strings.Contains(css.body, "url(") || strings.Contains(css.body, "@import") {
		t.Error("the style sheet loads something, or is none")
	}
	articles := map[string]string{}
	for _, part := range strings.Split(res.body, `<article id="`)[1:] {
		id, rest, _ := strings.Cut(part, `"`)
		articles[id], _, _ = strings.Cut(rest, "</article>")
	}
	all := operations()
	if len(articles) != len(all) {
		t.Errorf("%d operations are shown, %d there are", len(articles), len(all))
	}
	for id, op := range all {
		text := html.UnescapeString(articles[id])
		for _, part := range []string{op.Summary, op.Description, op.Method, op.Path, "curl"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s is shown without %q", id, part)
			}
		}
		for _, p := range op.Parameters {
			if !strings.Contains(text, "<code>"+p.Name+"</code>") {
				t.Errorf("%s is shown without its parameter %s", id, p.Name)
			}
		}
		if op.RequestBody != nil && !strings.Contains(text, "<h4>Body ") {
			t.Errorf("%s is shown without its body", id)
		}
		switch rule := api.Rules()[id]; {
		case rule.Operator && !strings.Contains(text, "For the operator"), rule.Public && !strings.Contains(text, "For everybody"),
			rule.Scope != "" && !strings.Contains(text, "with the scope "+string(rule.Scope)):
			t.Errorf("%s does not say who may", id)
		}
	}
	want := `curl -H "Authorization: Bearer $PARLEY_TOKEN" \
  -X POST \
  -H 'Idempotency-Key: 7f3c' \
  -H 'Content-Type: application/json' \
  -d '{"name":"…"}' \
  'https://inbox.example.com/api/v1/labels'`
	if !strings.Contains(html.UnescapeString(articles["add-label"]), want) {
		t.Errorf("add-label has no example like\n%s", want)
	}
	if res := w.send("", "GET", "/api", ""); res.Request.URL.Path != "/api/" || res.StatusCode != 200 {
		t.Errorf("/api leads to %s, %d", res.Request.URL, res.StatusCode)
	}
}

// The bodies of the examples are ones that the operations take.
func TestExamplesAreValid(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	doc := api.Describe(mux, api.Options{Version: "1.2.3"})
	for id, op := range operations() {
		if op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil {
			continue
		}
		_, body, ok := strings.Cut(api.Sample(doc, op), "  -d '")
		if !ok {
			t.Errorf("%s has no body in its example", id)
			continue
		}
		body, _, _ = strings.Cut(body, "' \\\n")
		var value any
		if err := json.Unmarshal([]byte(body), &value); err != nil {
			t.Errorf("%s: %v: %s", id, err, body)
			continue
		}
		var found huma.ValidateResult
		huma.Validate(doc.Components.Schemas, op.RequestBody.Content["application/json"].Schema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, value, &found)
		for _, err := range found.Errors {
			t.Errorf("%s with %s: %v", id, body, err)
		}
	}
}
