package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/inbox/api"
)

// open opens a stream as who, and returns how to read its lines; "end" is its end.
func (w *publicWorld) open(server *httptest.Server, who, query string, header ...string) (next func() string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodGet, server.URL+"/api/v1/stream"+query, nil)
	if err != nil {
		w.Fatal(err)
	}
	if strings.HasPrefix(who, "parley_") {
		req.Header.Set("Authorization", "Bearer "+who)
	} else {
		req.Header.Set("Cookie", who)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := server.Client().Do(req)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		w.Fatal(res.Status)
	}
	in := bufio.NewScanner(res.Body)
	next = func() string {
		if !in.Scan() {
			return "end"
		}
		return in.Text()
	}
	if line := next(); line != ": parley" || next() != "" {
		w.Fatalf("the stream begins with %q", line)
	}
	return next
}

// event is the next event's id and fact.
func (w *publicWorld) event(next func() string) (id string, f events.Fact) {
	w.Helper()
	id, _ = strings.CutPrefix(next(), "id: ")
	kind := next()
	data := strings.TrimPrefix(next(), "data: ")
	if err := json.Unmarshal([]byte(data), &f); err != nil || kind != "event: parley."+f.Noun+"."+f.Verb {
		w.Fatalf("%q: %s: %v", kind, data, err)
	}
	next()
	return id, f
}

func (w *publicWorld) publish(facts ...events.Fact) {
	w.Helper()
	if err := w.desk.Bus.PublishFacts(w.Context(), facts); err != nil {
		w.Fatal(err)
	}
}

func aFact(id int64, tenant events.TenantID, noun string) events.Fact {
	return events.Fact{
		ID: id, Tenant: tenant, Noun: noun, Verb: "changed", Chat: 1, Time: time.Now(),
		Data: json.RawMessage(fmt.Sprintf(`{"tenant":%q}`, tenant)),
	}
}

// Each stream has its own tenant's facts, and of those what its credential is for;
// it goes on at another replica where it stopped.
func TestStreamsAreApart(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	const streams = 20
	var of [2][]func() string
	for i, tw := range []*tenantWorld{w.a, w.b} {
		for range streams / 2 {
			of[i] = append(of[i], w.open(w.server, tw.session, ""))
		}
	}
	token := w.open(w.server, w.a.tokenSecret, "")
	filtered := w.open(w.server, w.a.session, "?types=chat.changed")
	w.publish(aFact(1, w.b.tenant.ID, "message"), aFact(2, w.a.tenant.ID, "channel"), aFact(3, w.a.tenant.ID, "token"),
		aFact(4, w.b.tenant.ID, "message"), aFact(5, w.a.tenant.ID, "chat"))
	want := [2][]int64{{2, 3, 5}, {1, 4}}
	var at string
	for i, nexts := range of {
		for _, next := range nexts {
			for n, id := range want[i] {
				place, f := w.event(next)
				if f.ID != id {
					t.Errorf("tenant %d: event %d is fact %d of %s", i, n, f.ID, f.Tenant)
				}
				if i == 0 && n == 0 {
					at = place
				}
			}
		}
	}
	// A token for chats does not hear of tokens and channels.
	if _, f := w.event(token); f.ID != 5 {
		t.Errorf("the token got fact %d", f.ID)
	}
	if _, f := w.event(filtered); f.ID != 5 {
		t.Errorf("of its types it got fact %d", f.ID)
	}

	replica := httptest.NewServer(api.Public(api.Options{Desk: w.desk, Guard: w.guard, Stop: t.Context(), Version: "1.2.3"}))
	t.Cleanup(replica.Close)
	w.publish(aFact(6, w.a.tenant.ID, "chat"))
	resumed := w.open(replica, w.a.session, "?after=0", "Last-Event-ID", at)
	for _, id := range []int64{3, 5, 6} {
		if _, f := w.event(resumed); f.ID != id {
			t.Errorf("resumed with fact %d, want %d", f.ID, id)
		}
	}
	// Where one tenant is says nothing to another.
	foreign := w.open(replica, w.b.session, "", "Last-Event-ID", at)
	if _, f := w.event(foreign); f.ID != 4 {
		t.Errorf("another tenant's place gives fact %d", f.ID)
	}
}

// Streams end with their credential, at once and at any replica; those of others
// in the tenant do not.
func TestStreamsEndWithTheirCredential(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	watching := make(chan struct{}, 1)
	go w.guard.Watch(t.Context(), slog.New(slog.DiscardHandler), func() { watching <- struct{}{} })
	<-watching
	agent := w.join(w.a, "agent@acme.example", inbox.Agent)
	session := w.logIn(w.a, agent.Email)
	stays := w.open(w.server, w.a.session, "")
	byToken, bySession, byLogOut := w.open(w.server, w.a.tokenSecret, ""), w.open(w.server, session, ""), w.open(w.server, session, "")
	w.ask(w.a.session, "DELETE", "/api/v1/tokens/"+w.a.token, "", 200, nil)
	if line := byToken(); line != "end" {
		t.Errorf("after the token was revoked: %q", line)
	}
	again := w.logIn(w.a, agent.Email)
	third := w.open(w.server, again, "")
	w.ask(again, "DELETE", "/api/v1/session", "", 200, nil)
	if line := third(); line != "end" {
		t.Errorf("after logging out: %q", line)
	}
	w.ask(w.a.session, "PATCH", fmt.Sprintf("/api/v1/users/%d", agent.ID), `{"disabled":true}`, 200, nil)
	for _, next := range []func() string{bySession, byLogOut} {
		if line := next(); line != "end" {
			t.Errorf("after the user was disabled: %q", line)
		}
	}
	w.publish(aFact(1, w.a.tenant.ID, "message"))
	if _, f := w.event(stays); f.ID != 1 {
		t.Errorf("the other one got fact %d", f.ID)
	}
}

// A stream outlasts the time that a request may take to be read.
func TestStreamOutlastsReadTimeout(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	srv := httptest.NewUnstartedServer(api.Public(api.Options{Desk: w.desk, Guard: w.guard, Stop: t.Context(), Version: "1.2.3"}))
	srv.Config.ReadTimeout = 50 * time.Millisecond
	srv.Start()
	t.Cleanup(srv.Close)
	next := w.open(srv, w.a.session, "")
	timer := time.NewTimer(200 * time.Millisecond) // the timeout's time, not the outcome's
	<-timer.C
	w.publish(aFact(1, w.a.tenant.ID, "message"))
	if _, f := w.event(next); f.ID != 1 {
		t.Errorf("fact %d", f.ID)
	}
}
