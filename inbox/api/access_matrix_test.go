package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"parley/events"
	"parley/inbox/api"
)

// secretsOf are what nobody else may read of a tenant.
func secretsOf(tw *tenantWorld) map[string]string {
	return map[string]string{
		"tenant": string(tw.tenant.ID), "message": tw.plainText, "owner": tw.owner.Email,
		"channel": string(tw.channel.ID), "token": tw.token, "invitation": tw.invitation, "token's secret": tw.tokenSecret,
	}
}

// tellsNothing expects that an answer has nothing of a tenant but what the request
// itself said.
func (w *publicWorld) tellsNothing(what string, of *tenantWorld, res answer, said string) {
	w.Helper()
	text := res.body
	for name := range res.Header {
		text += "\n" + name + ": " + strings.Join(res.Header.Values(name), ",")
	}
	for kind, secret := range secretsOf(of) {
		if strings.Contains(text, secret) && !strings.Contains(said, secret) {
			w.Errorf("%s shows another tenant's %s: %s", what, kind, text)
		}
	}
}

// Each path with each method, whether or not it is described, with another
// tenant's ids: as who logged in, and as a program.
func TestEveryMethodOnEveryPath(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	before := w.readings(w.a)
	paths := map[string]*huma.Operation{}
	for id, op := range operations() {
		if !api.Rules()[id].Public {
			paths[op.Path] = op
		}
	}
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"}
	tried := 0
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		op := paths[path]
		if op.OperationID == "log-out" || path == "/api/v1/session" {
			continue // ends the session that the others need
		}
		for _, method := range methods {
			for _, body := range []string{"", "{}", valid[op.OperationID]} {
				for _, who := range []string{w.b.session, w.b.tokenSecret} {
					tried++
					target := w.fill(op, w.a)
					res := w.send(who, method, target, body)
					what := method + " " + target
					if strings.Contains(op.Path, "{") && res.StatusCode < 400 {
						t.Errorf("%s: %d %s", what, res.StatusCode, res.body)
					}
					if res.StatusCode >= 500 {
						t.Errorf("%s: %d %s", what, res.StatusCode, res.body)
					}
					w.tellsNothing(what, w.a, res, target)
				}
			}
		}
	}
	for id, body := range w.readings(w.a) {
		if body != before[id] {
			t.Errorf("what %s shows was changed from another tenant:\n%s\n%s", id, before[id], body)
		}
	}
	t.Logf("%d paths × %d methods × bodies × callers = %d requests", len(paths), len(methods), tried)
}

// Ids of another tenant where they are carried by a body or a query, on one's own
// chat: in the same words as what does not exist.
func TestForeignIDsInBodies(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	chat := fmt.Sprintf("/api/v1/chats/%d/messages", w.b.chat)
	tried := 0
	for what, ids := range map[string][2]any{
		`{"text":"x","seen":1,"force":true,"channel":%q}`:       {w.a.channel.ID, "0000000a-0000-4000-8000-00000000000f"},
		`{"text":"x","seen":1,"force":true,"attachments":[%v]}`: {w.a.upload, 999999},
		`{"text":"x","seen":1,"force":true,"reply_to":%v}`:      {w.a.message, 999999},
	} {
		tried += 2
		theirs := w.send(w.b.session, "POST", chat, fmt.Sprintf(what, ids[0]))
		nobodys := w.send(w.b.session, "POST", chat, fmt.Sprintf(what, ids[1]))
		if theirs.StatusCode < 400 || theirs.StatusCode >= 500 || theirs.StatusCode != nobodys.StatusCode || generic(theirs.body) != generic(nobodys.body) {
			t.Errorf("%s tells another's from nobody's: %d %s, %d %s", what, theirs.StatusCode, theirs.body, nobodys.StatusCode, nobodys.body)
		}
		w.tellsNothing(what, w.a, theirs, string(w.a.channel.ID))
	}
	// A cursor of the other tenant's lists is a place in one's own.
	var theirs api.List[json.RawMessage]
	for _, path := range []string{"/api/v1/chats", "/api/v1/users", "/api/v1/tokens", "/api/v1/invitations", "/api/v1/audit-log"} {
		tried++
		w.ask(w.a.session, "GET", path+"?limit=1", "", 200, &theirs)
		res := w.send(w.b.session, "GET", path+"?limit=50&cursor="+theirs.Next, "")
		if theirs.Next != "" && res.StatusCode >= 500 {
			t.Errorf("%s with another's cursor: %d %s", path, res.StatusCode, res.body)
		}
		w.tellsNothing(path, w.a, res, "")
	}
	t.Logf("%d requests", tried)
}

// A stream has what its own tenant's facts are, whichever chat and place it asks
// for, and a file in part is not shown either.
func TestStreamsAndFilesStayInTheirTenant(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	fact := func(id int64, tw *tenantWorld, chat int64) events.Fact {
		return events.Fact{
			ID: id, Tenant: tw.tenant.ID, Noun: "message", Verb: "received", Chat: chat, Time: time.Now(),
			Data: json.RawMessage(fmt.Sprintf(`{"text":%q}`, tw.plainText)),
		}
	}
	// The other's come before and after one's own, which ends the wait; the last are
	// of a chat that both could have.
	if err := w.desk.Bus.PublishFacts(t.Context(), []events.Fact{
		fact(1, w.a, w.a.chat), fact(2, w.a, w.b.chat), fact(3, w.b, w.b.chat), fact(4, w.b, w.a.chat),
	}); err != nil {
		t.Fatal(err)
	}
	streams := 0
	for _, query := range []string{"?after=0", fmt.Sprintf("?after=0&chat=%d", w.b.chat), fmt.Sprintf("?after=0&chat=%d", w.a.chat)} {
		for _, who := range []string{w.b.session, w.b.tokenSecret} {
			streams++
			text := w.stream(who, "/api/v1/stream"+query)
			if strings.Contains(text, string(w.a.tenant.ID)) || strings.Contains(text, w.a.plainText) || !strings.Contains(text, w.b.plainText) {
				t.Errorf("the stream %s has %s", query, text)
			}
		}
	}
	for _, path := range []string{"/api/v1/uploads/%d", "/api/v1/uploads/%d/content", "/api/v1/uploads/%d/thumbnail"} {
		theirs, nobodys := fmt.Sprintf(path, w.a.upload), fmt.Sprintf(path, 999999)
		for _, header := range [][]string{nil, {"Range", "bytes=0-3"}, {"If-None-Match", "*"}, {"If-Modified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"}} {
			a, b := w.send(w.b.session, "GET", theirs, "", header...), w.send(w.b.session, "GET", nobodys, "", header...)
			if a.StatusCode != 404 || b.StatusCode != 404 || generic(a.body) != generic(b.body) {
				t.Errorf("%s with %v: %d %s, %d %s", theirs, header, a.StatusCode, a.body, b.StatusCode, b.body)
			}
			w.tellsNothing(theirs, w.a, a, "")
		}
	}
	t.Logf("%d streams", streams)
}

// stream reads a stream until its first fact is whole.
func (w *publicWorld) stream(who, path string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+path, nil)
	if err != nil {
		w.Fatal(err)
	}
	if strings.HasPrefix(who, "parley_") {
		req.Header.Set("Authorization", "Bearer "+who)
	} else {
		req.Header.Set("Cookie", who)
	}
	res, err := w.server.Client().Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	var text strings.Builder
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "data: ") {
			return text.String()
		}
	}
	w.Fatalf("%s %d ended: %s", path, res.StatusCode, text.String())
	return ""
}

// What is another tenant's takes the same statements as what does not exist. How
// long each takes is printed, and decides nothing.
func TestAnswersTakeTheSameWork(t *testing.T) {
	w := newPublicWorld(t) // not parallel: it measures
	const turns = 60
	for _, path := range []string{"/api/v1/chats/%d", "/api/v1/chats/%d/messages", "/api/v1/users/%d", "/api/v1/clients/%d", "/api/v1/uploads/%d/content"} {
		id := map[string]int64{"/api/v1/users/%d": w.a.owner.ID, "/api/v1/uploads/%d/content": w.a.upload, "/api/v1/clients/%d": w.a.client}[path]
		if id == 0 {
			id = w.a.chat
		}
		var took [2][]time.Duration
		var asked [2][]string
		for range turns {
			for i, n := range []int64{id, 999999} {
				w.statements.Reset()
				began := time.Now()
				w.ask(w.b.session, "GET", fmt.Sprintf(path, n), "", 404, nil)
				took[i], asked[i] = append(took[i], time.Since(began)), w.statements.All()
			}
		}
		if len(asked[0]) < 3 || !slices.Equal(asked[0], asked[1]) {
			t.Errorf("%s: another's takes the statements\n%q\nand nobody's\n%q", path, asked[0], asked[1])
		}
		for i := range took {
			slices.Sort(took[i])
		}
		t.Logf("%-30s another's %s, nobody's %s (median of %d)", path, took[0][turns/2], took[1][turns/2], turns)
	}
}
