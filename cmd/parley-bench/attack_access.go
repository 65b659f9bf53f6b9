package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"parley/inbox/access"
)

// accessAttackers want to be somebody, or somebody else.
func (w *attackWorld) accessAttackers() []attacker {
	return []attacker{
		{kind: "guessed tokens", try: w.guessToken},
		{kind: "guessed sessions", try: w.guessSession},
		{kind: "guessed passwords", try: w.guessPassword},
		{kind: "guessed invitations", try: w.guessInvitation},
		{kind: "posts from other sites, with an agent's cookie", try: w.crossSite},
		{kind: "path and header tricks, without credentials", try: w.trick},
		{kind: "enumeration: another tenant's ids and name", try: w.enumerate},
		{kind: "a token's way up: admin's and operator's operations", try: w.climb},
		{kind: "hostile JSON and text from who logged in", try: w.hostile, pause: 50 * time.Millisecond},
	}
}

// want asks for what must be refused.
func (w *attackWorld) want(ctx context.Context, a *attempts, method, path, body string, header ...string) error {
	target := path
	if !strings.HasPrefix(path, "http") {
		target = w.api + path
	}
	code, text, err := w.send(ctx, method, target, []byte(body), header...)
	if err != nil {
		return err
	}
	a.tell(code/100 == 2 || code/100 == 3, code, method+" "+path+" "+strings.Join(header, " ")+" "+text)
	return nil
}

func (w *attackWorld) guessToken(ctx context.Context, n int, a *attempts) error {
	guess, err := access.NewCredential(access.TokenKind, w.a.id) // the right tenant
	if err != nil {
		return err
	}
	genuine := w.a.token
	guesses := []string{
		"Bearer " + guess.Text, "Bearer " + genuine[:len(genuine)-1], "Bearer " + genuine + "A", "Bearer " + strings.ToLower(genuine),
		"Basic " + genuine, genuine, "Bearer", "Bearer " + string(access.TokenKind), "Bearer " + strings.Replace(genuine, "_tok_", "_ses_", 1),
		"Bearer " + strings.TrimPrefix(strings.SplitN(w.a.cookie, "=", 2)[1], " "), "Bearer null", "Bearer " + strings.Repeat("A", 8000),
		"Bearer " + genuine[:40] + genuine[41:] + "A", "Bearer ' OR 1=1 --",
	}
	return w.want(ctx, a, http.MethodGet, "/chats", "", "Authorization", guesses[n%len(guesses)])
}

func (w *attackWorld) guessSession(ctx context.Context, n int, a *attempts) error {
	guess, err := access.NewCredential(access.SessionKind, w.a.id)
	if err != nil {
		return err
	}
	name, genuine, _ := strings.Cut(w.a.cookie, "=")
	guesses := []string{
		name + "=" + guess.Text, name + "=" + genuine[:len(genuine)-1], name + "=" + genuine + "A", "__Host-" + name + "=" + genuine,
		name + "=" + w.a.token, name + "=", name + "=" + strings.Replace(genuine, "_ses_", "_inv_", 1), "PARLEY=" + genuine,
	}
	return w.want(ctx, a, http.MethodGet, "/chats", "", "Cookie", guesses[n%len(guesses)])
}

func (w *attackWorld) guessPassword(ctx context.Context, n int, a *attempts) error {
	passwords := []string{"password", "123456", "correct horse battery", attackPassword + " ", strings.ToUpper(attackPassword), "", strings.Repeat("x", 1024), "' OR 1=1 --", rand.Text()}
	body, err := json.Marshal(map[string]any{
		"tenant": w.a.id, "email": []string{w.a.email, "nobody@bench.example", w.b.email}[n%3], "password": passwords[n%len(passwords)],
	})
	if err != nil {
		return err
	}
	// The address cannot be changed by saying so.
	return w.want(ctx, a, http.MethodPost, "/session", string(body), "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", n%256), "X-Real-Ip", fmt.Sprintf("198.51.100.%d", n%256))
}

func (w *attackWorld) guessInvitation(ctx context.Context, _ int, a *attempts) error {
	guess, err := access.NewCredential(access.InvitationKind, w.a.id)
	if err != nil {
		return err
	}
	return w.want(ctx, a, http.MethodPost, "/invitations/accept",
		fmt.Sprintf(`{"invitation":%q,"name":"mallory","email":"mallory@evil.example","password":"a password of mallory"}`, guess.Text))
}

// crossSite is another site's page in the browser of an agent who is logged in.
func (w *attackWorld) crossSite(ctx context.Context, n int, a *attempts) error {
	headers := [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Sec-Fetch-Site", "cross-site", "Content-Type", "text/plain"},
		{"Origin", "https://evil.example", "Content-Type", formType},
		{"Sec-Fetch-Site", "cross-site", "X-HTTP-Method-Override", "GET"},
	}
	requests := [][3]string{
		{http.MethodPost, "/channels/Bench/pause", ""},
		{http.MethodPost, "/invitations", `{"email":"mallory@evil.example","role":"owner"}`},
		{http.MethodPost, "/tokens", `{"name":"mallory","role":"agent","scopes":["chats:read"]}`},
		{http.MethodDelete, "/session", ""},
		{http.MethodPost, "/chats/1/messages", `{"text":"ATTACK","seen":1,"force":true}`},
		{http.MethodPost, "/session", `{"email":"a@b.c","password":"x"}`},
	}
	r := requests[n%len(requests)]
	return w.want(ctx, a, r[0], r[1], r[2], append([]string{"Cookie", w.a.cookie}, headers[n%len(headers)]...)...)
}

func (w *attackWorld) trick(ctx context.Context, n int, a *attempts) error {
	root := strings.TrimSuffix(w.api, "/api/v1")
	paths := []string{
		"/api/v1/chats", "/api/v1/./chats", "/api//v1/chats", "/api/v1/openapi/../chats", "/api/v1/session/../chats", "/api/v1/chats/", "/api/v1/chats%2f1",
		"/API/V1/chats", "/api/v1/chats;a=b", "/api/v1/%63hats", "/api/v1/chats?", "/api/v1/chats#", "/api/v1/status", "/api/v1/tenants", "/api/v1/quarantine",
		"/api/openapi.json/../v1/chats", "/api/v1/session%00", "/api/v1/me", "/api/v1/users", "/api/v1/audit-log", "/api/v1/audit-log/export",
	}
	headers := [][]string{
		nil,
		{"X-Original-URL", "/api/v1/chats"},
		{"X-Rewrite-URL", "/api/v1/chats"},
		{"X-Forwarded-For", "127.0.0.1"},
		{"X-Forwarded-User", "owner"},
		{"X-Remote-User", w.a.email},
		{"X-HTTP-Method-Override", "POST"},
		{"Host", "localhost"},
		{"Host", "parley"},
		{"Forwarded", "for=127.0.0.1;host=unix"},
		{"Parley-Tenant", string(w.a.id)},
		{"X-Real-Ip", "::1"},
		{"X-Parley-Operator", "1"},
		{"Connection", "Authorization, Cookie"},
	}
	target := root + paths[n%len(paths)]
	code, text, err := w.send(ctx, []string{http.MethodGet, http.MethodPost, http.MethodHead}[n/len(paths)%3], target, nil, headers[n%len(headers)]...)
	if err != nil {
		return err
	}
	// A cleaned path is where to ask again, and is refused there.
	a.tell(code/100 == 2, code, target+" "+text)
	return nil
}

// enumerate is the other tenant, who counts.
func (w *attackWorld) enumerate(ctx context.Context, n int, a *attempts) error {
	id := 1 + n/8%40
	who := []string{"Cookie", w.b.cookie}
	if n%2 == 1 {
		who = []string{"Authorization", "Bearer " + w.b.token}
	}
	switch n % 8 {
	case 0, 1:
		return w.want(ctx, a, http.MethodGet, fmt.Sprintf("/chats/%d", id), "", who...)
	case 2, 3:
		return w.want(ctx, a, http.MethodGet, fmt.Sprintf("/chats/%d/messages", id), "", who...)
	case 4:
		return w.want(ctx, a, http.MethodGet, fmt.Sprintf("/uploads/%d/content", id), "", who...)
	case 5:
		return w.want(ctx, a, http.MethodPost, fmt.Sprintf("/chats/%d/messages", id), `{"text":"ATTACK","seen":1,"force":true}`, who...)
	case 6:
		return w.want(ctx, a, http.MethodPost, "/channels/"+string(w.bot.channel.ID)+"/pause", "", who...)
	}
	tenant := []string{string(w.a.id), "Bench", uuid.NewString()}[n/8%3]
	return w.want(ctx, a, http.MethodGet, "/chats", "", append(who, "Parley-Tenant", tenant)...)
}

// climb is a program that may read and write chats, and wants more.
func (w *attackWorld) climb(ctx context.Context, n int, a *attempts) error {
	requests := [][3]string{
		{http.MethodGet, "/status", ""},
		{http.MethodGet, "/tenants", ""},
		{http.MethodPost, "/audit", ""},
		{http.MethodGet, "/quarantine", ""},
		{http.MethodGet, "/users", ""},
		{http.MethodPost, "/invitations", `{"email":"mallory@evil.example","role":"owner"}`},
		{http.MethodGet, "/audit-log", ""},
		{http.MethodPost, "/tokens", `{"name":"mallory","role":"owner","scopes":["users:write"]}`},
		{http.MethodPost, "/channels/Bench/pause", ""},
		{http.MethodPatch, "/users/1", `{"role":"owner"}`},
		{http.MethodPost, "/users/1/reset", ""},
		{http.MethodPut, "/me/second-factor", `{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","code":"1"}`},
	}
	r := requests[n%len(requests)]
	return w.want(ctx, a, r[0], r[1], r[2], "Authorization", "Bearer "+w.a.token)
}

// hostile has a right to ask and sends what could break something: only errors of
// the server count.
func (w *attackWorld) hostile(ctx context.Context, n int, a *attempts) error {
	bodies := []string{
		strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 10_000), `{"text":"a\u0000b","seen":1}`, "{\"text\":\"\xff\xfe\",\"seen\":1}", `{"text":1e999999,"seen":1}`,
		`{"text":"x","seen":99999999999999999999}`, `{"text":"x","seen":1,"attachments":[-1]}`, `{"text":"x","seen":1,"reply_to":9223372036854775807}`,
		`{"text":"` + strings.Repeat("x", 900_000) + `","seen":1}`, `{"text":"x","seen":1,"channel":"\u0000"}`, `{"text":"x","seen":1,"to":["a@b\r\nBcc: c@d"]}`, "null", "",
	}
	queries := []string{
		"/chats?cursor=%00", "/chats?cursor=" + strings.Repeat("A", 5000), "/chats/9223372036854775807", "/chats/-1", "/chats/1/messages?before=9223372036854775807",
		"/users?cursor=99999999999999999999", "/audit-log?cursor=-5", "/audit-log/export?from=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z&after=9223372036854775807",
		"/stream?after=%00", "/stream?after=18446744073709551615", "/channels/%00/check", "/uploads/0/content",
	}
	var code int
	var text string
	var err error
	what := ""
	if n%2 == 0 {
		what = bodies[n/2%len(bodies)]
		code, text, err = w.send(ctx, http.MethodPost, w.api+"/chats/999999/messages", []byte(what), "Cookie", w.a.cookie, "Idempotency-Key", "\xff", "User-Agent", "\xff\xfe")
	} else {
		what = queries[n/2%len(queries)]
		short, cancel := context.WithTimeout(ctx, answerTimeout/15)
		defer cancel()
		code, text, err = w.send(short, http.MethodGet, w.api+what, nil, "Cookie", w.a.cookie)
		if short.Err() != nil && ctx.Err() == nil {
			code, err = 0, nil // a stream, which never ends
		}
	}
	a.tell(false, code, what[:min(len(what), 80)]+" "+text)
	return err
}
