package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox/api"
)

// fill writes a tenant's ids into an operation's path. A name that it does not
// know fails the test: whoever adds one says here what it names.
func (w *publicWorld) fill(op *huma.Operation, tw *tenantWorld) string {
	w.Helper()
	id := tw.token
	if strings.Contains(op.Path, "/invitations/") {
		id = tw.invitation
	}
	if strings.Contains(op.Path, "/resumable-uploads/") {
		id = tw.resumable
	}
	path := strings.NewReplacer(
		"{chat}", fmt.Sprint(tw.chat), "{message}", fmt.Sprint(tw.message), "{upload}", fmt.Sprint(tw.upload),
		"{channel}", string(tw.channel.ID), "{user}", fmt.Sprint(tw.owner.ID), "{id}", id,
		"{delivery}", fmt.Sprint(tw.delivery), "{client}", fmt.Sprint(tw.client), "{template}", fmt.Sprint(tw.template), "{scheduled}", fmt.Sprint(tw.scheduled),
		"{block}", fmt.Sprint(tw.block), "{event}", fmt.Sprint(tw.quarantined),
		"{webhook}", tw.webhook, "{tenant}", string(tw.tenant.ID),
		"{label}", fmt.Sprint(tw.label), "{team}", fmt.Sprint(tw.team), "{note}", fmt.Sprint(tw.note), "{contact}", fmt.Sprint(tw.contact),
	).Replace(op.Path)
	if strings.Contains(path, "{") {
		w.Fatalf("%s: this test does not know what %s names", op.OperationID, path)
	}
	return path
}

// valid are bodies that nothing is wrong with, so that what is refused is refused
// for whose it is.
var valid = map[string]string{
	"show-typing":           `{}`,
	"rotate-channel":        `{"secrets":{"token":"stolen"},"webhook":true}`,
	"edit-message":          `{"text":"changed"}`,
	"add-webhook":           `{"url":"https://spy.example.com"}`,
	"change-webhook":        `{"enabled":false}`,
	"replay-webhook":        `{"since":"2020-01-01T00:00:00Z"}`,
	"react-to-message":      `{"emoji":["x"]}`,
	"settle-delivery":       `{"as":"sent"}`,
	"merge-clients":         `{"from":888888}`,
	"add-block":             `{"kind":"value","value":"spy"}`,
	"take-contact":          `{"contact":999999}`,
	"reply":                 `{"text":"from another tenant","seen":1,"force":true}`,
	"read-chat":             `{"seq":1}`,
	"change-channel":        `{"name":"taken"}`,
	"unread-chat":           `{"seq":1}`,
	"set-chat-status":       `{"status":"closed"}`,
	"assign-chat":           `{}`,
	"add-label":             `{"name":"spy"}`,
	"change-label":          `{"name":"spied"}`,
	"add-team":              `{"name":"Spies"}`,
	"change-team":           `{"members":[]}`,
	"add-note":              `{"text":"from another tenant"}`,
	"change-note":           `{"text":"from another tenant"}`,
	"put-draft":             `{"text":"from another tenant"}`,
	"add-client":            `{"first_name":"Spy"}`,
	"change-client":         `{"first_name":"Spied"}`,
	"add-contact":           `{"type":"other","value":"spied"}`,
	"change-contact":        `{"type":"other","value":"spied"}`,
	"change-user":           `{"disabled":true}`,
	"add-channel":           `{"transport":"telegram","name":"Other","secrets":{"token":"other"}}`,
	"invite":                `{"email":"spy@example.com","role":"agent"}`,
	"add-token":             `{"name":"spy","role":"agent","scopes":["chats:read"]}`,
	"upload":                `some bytes`,
	"continue-resumable":    `bytes`,
	"import-clients":        "first_name,email\nSpy,spy@example.com\n",
	"add-template":          `{"name":"Other","text":"Hello {{first_name|there}}"}`,
	"change-template":       `{"text":"changed"}`,
	"preview":               `{"text":"Hello"}`,
	"schedule-reply":        `{"text":"later","seen":1,"force":true,"send_at":"` + time.Now().Add(time.Hour).Format(time.RFC3339) + `"}`,
	"start-chat":            `{"to":"7","text":"from another tenant","channel":"Support","force":true}`,
	"set-hours":             `{"enabled":false,"time_zone":"UTC","week":{},"holidays":{},"away":"","greeting":""}`,
	"reschedule":            `{"text":"changed"}`,
	"set-alerts":            `{"way":"off","after_minutes":7,"quiet_minutes":7}`,
	"set-my-alerts":         `{"way":"off","after_minutes":7,"quiet_minutes":7}`,
	"set-alert-bot":         `{"channel":"Support"}`,
	"set-desk-settings":     `{"undo_seconds":7}`,
	"add-tenant":            `{"name":"Spies"}`,
	"rename-tenant":         `{"name":"Spied"}`,
	"remove-tenant":         `{"name":"Acme"}`,
	"confirm-second-factor": `{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","code":"000000"}`,
}

// asked are queries that name something.
var asked = map[string]func(tw *tenantWorld) string{
	"list-deliveries": func(*tenantWorld) string { return "?waiting=true" },
	"search-messages": func(tw *tenantWorld) string { return "?q=" + url.QueryEscape(tw.plainText) },
	"search-clients":  func(*tenantWorld) string { return "?q=client" },
	"stream":          func(tw *tenantWorld) string { return fmt.Sprintf("?after=0&chat=%d", tw.chat) },
}

// headers are what some requests need to be valid.
var headers = map[string][]string{
	"create-resumable":   {"Tus-Resumable", "1.0.0", "Upload-Length", "10"},
	"show-resumable":     {"Tus-Resumable", "1.0.0"},
	"cancel-resumable":   {"Tus-Resumable", "1.0.0"},
	"continue-resumable": {"Tus-Resumable", "1.0.0", "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream"},
}

// readings are all that a tenant's owner can read.
func (w *publicWorld) readings(tw *tenantWorld) map[string]string {
	w.Helper()
	all := map[string]string{}
	for id, op := range operations() {
		rule := api.Rules()[id]
		if op.Method != http.MethodGet || rule.Operator || rule.Public || id == "stream" || id == "download-thumbnail" || id == "export-audit-log" || id == "export-client" {
			continue
		}
		query := ""
		if asked[id] != nil {
			query = asked[id](tw)
		}
		res := w.ask(tw.session, op.Method, w.fill(op, tw)+query, "", 200, nil)
		all[id] = res.body
	}
	return all
}

// Every operation, with another tenant's ids: nothing is found, in the same words
// as for what does not exist, nothing is shown, and nothing changes.
func TestNoTenantSeesAnother(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	before := w.readings(w.a)
	tried, visited := 0, 0
	for _, id := range slices.Sorted(maps.Keys(operations())) {
		op, rule := operations()[id], api.Rules()[id]
		if rule.Public || rule.Operator || id == "log-out" {
			continue // no tenant's ids: TestLogInTellsNothing, TestRolesAndScopes
		}
		if op.RequestBody != nil && valid[id] == "" {
			t.Errorf("%s: this test has no valid body for it", id)
			continue
		}
		visited++
		names := strings.Contains(op.Path, "{")
		// A's header, with A's ids and with one's own.
		if strings.HasPrefix(id, "confirm") || strings.HasPrefix(id, "begin") || id == "me" {
			continue // of oneself: they name nothing
		}
		query := ""
		if asked[id] != nil {
			query = asked[id](w.a)
		}
		for _, path := range []string{w.fill(op, w.a), w.fill(op, w.b)} {
			for _, tenant := range []string{string(w.a.tenant.ID), "Acme"} {
				tried++
				if res := w.send(w.b.session, op.Method, path+query, valid[id], append([]string{"Parley-Tenant", tenant}, headers[id]...)...); res.StatusCode != 404 {
					t.Errorf("%s for tenant %s: %d %s", id, tenant, res.StatusCode, res.body)
				}
			}
		}
		for _, who := range []string{w.b.session, w.b.tokenSecret} {
			tried++
			path := w.fill(op, w.a)
			// With a key, or what is made by the session could not be made by the token.
			res := w.send(who, op.Method, path+query, valid[id], append([]string{"Idempotency-Key", id}, headers[id]...)...)
			switch {
			case who == w.b.tokenSecret && res.StatusCode == 403: // not of its scopes
			case who == w.b.tokenSecret && (id == "start-chat" || id == "create-resumable") && res.StatusCode == 409: // the key is of what another user wrote
			case names && res.StatusCode != 404:
				t.Errorf("%s with another tenant's ids: %d %s", id, res.StatusCode, res.body)
			case names:
				missing := w.send(who, op.Method, missing(op), valid[id], headers[id]...)
				if generic(missing.body) != generic(res.body) || missing.StatusCode != 404 {
					t.Errorf("%s tells another's from nobody's: %s and %s", id, res.body, missing.body)
				}
			case res.StatusCode >= 400:
				t.Errorf("%s does not work at all: %d %s", id, res.StatusCode, res.body)
			}
			w.tellsNothing(id, w.a, answer{res.Response, strings.ReplaceAll(res.body, path, "")}, path)
		}
	}
	for id, body := range w.readings(w.a) {
		if body != before[id] {
			t.Errorf("what %s shows was changed from another tenant:\n%s\n%s", id, before[id], body)
		}
	}
	t.Logf("%d operations, %d requests with another tenant's ids", visited, tried)
}

// missing is an operation's path with ids of nothing.
func missing(op *huma.Operation) string {
	return strings.NewReplacer("{chat}", "999999", "{message}", "999999", "{upload}", "999999", "{user}", "999999", "{delivery}", "999999", "{client}", "999999", "{template}", "999999", "{scheduled}", "999999",
		"{label}", "999999", "{team}", "999999", "{note}", "999999", "{contact}", "999999",
		"{block}", "999999", "{event}", "999999",
		"{channel}", "0000000a-0000-4000-8000-00000000000f", "{webhook}", "0000000a-0000-4000-8000-00000000000f", "{id}", "0000000a-0000-4000-8000-00000000000f").Replace(op.Path)
}

// generic is an answer without the ids that the request named.
func generic(body string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'f' || r == '-' {
			return -1
		}
		return r
	}, body)
}
