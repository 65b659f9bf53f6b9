package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"parley/inbox/access"
)

// sessionAttackers want to be let in by a session or token that is not theirs, or
// not any more.
func (w *attackWorld) sessionAttackers() []attacker {
	return []attacker{
		{kind: "sessions fixed before log-in, used after log-out", try: w.staleSession, pause: 200 * time.Millisecond},
		{kind: "tokens used after revocation", try: w.staleToken, pause: 200 * time.Millisecond},
		{kind: "credentials renamed to another tenant or kind", try: w.renamed},
	}
}

// staleSession logs in with a cookie that a stranger chose, and out again: neither
// the stranger's nor the old session may open anything. Who guesses passwords from
// the same address makes it wait.
func (w *attackWorld) staleSession(ctx context.Context, n int, a *attempts) error {
	chosen, err := access.NewCredential(access.SessionKind, w.b.id)
	if err != nil {
		return err
	}
	cookie := []string{"parley=" + chosen.Text, "parley=fixed", "parley=" + chosen.Text + "; parley=other", w.a.cookie}[n%4]
	session, code, err := w.logIn(ctx, w.b, cookie)
	if err != nil {
		return err
	}
	a.tell(false, code, "log-in")
	if session == "" {
		return nil
	}
	a.tell(session == cookie, 0, "the session that a stranger chose was taken")
	if n%4 != 3 {
		if err := w.want(ctx, a, http.MethodGet, "/me", "", "Cookie", cookie); err != nil {
			return err
		}
	}
	if code, text, err := w.send(ctx, http.MethodDelete, w.api+"/session", nil, "Cookie", session); err != nil || code/100 != 2 {
		return errors.Join(err, fmt.Errorf("logging out: %d %s", code, text))
	}
	w.stale.Add(1)
	for _, path := range []string{"/me", "/chats", "/stream", "/tokens"} {
		if err := w.want(ctx, a, http.MethodGet, path, "", "Cookie", session); err != nil {
			return err
		}
	}
	return w.want(ctx, a, http.MethodPost, "/tokens", `{"name":"mallory","role":"agent","scopes":["chats:read"]}`, "Cookie", session)
}

// logIn logs an owner in, who sends a cookie already; no session when they have to
// wait.
func (w *attackWorld) logIn(ctx context.Context, who attackTenant, cookie string) (session string, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]any{"tenant": who.id, "email": who.email, "password": attackPassword})
	if err != nil {
		return "", 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.api+"/session", strings.NewReader(string(body)))
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Cookie", cookie)
	res, err := w.client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	for _, c := range res.Cookies() {
		session = c.Name + "=" + c.Value
	}
	return session, res.StatusCode, nil
}

// staleToken makes a token, uses it, takes it back and uses it again.
func (w *attackWorld) staleToken(ctx context.Context, n int, a *attempts) error {
	code, text, err := w.send(ctx, http.MethodPost, w.api+"/tokens",
		[]byte(fmt.Sprintf(`{"name":"stale %d","role":"agent","scopes":["chats:read"]}`, n)), "Cookie", w.b.cookie)
	if err != nil {
		return err
	}
	a.tell(false, code, text)
	var token struct{ ID, Secret string }
	if code/100 != 2 {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &token); err != nil {
		return err
	}
	if code, text, err := w.send(ctx, http.MethodGet, w.api+"/chats", nil, "Authorization", "Bearer "+token.Secret); err != nil || code/100 != 2 {
		return errors.Join(err, fmt.Errorf("a new token: %d %s", code, text))
	}
	if code, text, err := w.send(ctx, http.MethodDelete, w.api+"/tokens/"+token.ID, nil, "Cookie", w.b.cookie); err != nil || code/100 != 2 {
		return errors.Join(err, fmt.Errorf("taking a token back: %d %s", code, text))
	}
	w.stale.Add(1)
	for _, path := range []string{"/me", "/chats", "/stream"} {
		if err := w.want(ctx, a, http.MethodGet, path, "", "Authorization", "Bearer "+token.Secret); err != nil {
			return err
		}
	}
	return nil
}

// renamed are genuine credentials of one tenant that say they are another's, or of
// another kind.
func (w *attackWorld) renamed(ctx context.Context, n int, a *attempts) error {
	_, session, _ := strings.Cut(w.b.cookie, "=")
	genuine := []string{w.b.token, session}[n%2]
	kind := genuine[:len(access.TokenKind)]
	data, err := base64.RawURLEncoding.DecodeString(genuine[len(kind):])
	if err != nil {
		return err
	}
	other := []string{string(w.a.id), uuid.Nil.String(), uuid.Max.String(), uuid.NewString()}[n/2%4]
	id, err := uuid.Parse(other)
	if err != nil {
		return err
	}
	copy(data, id[:])
	said := base64.RawURLEncoding.EncodeToString(data)
	if n/8%2 == 1 {
		kind = map[string]string{string(access.TokenKind): string(access.SessionKind), string(access.SessionKind): string(access.TokenKind)}[kind]
	}
	header := []string{"Authorization", "Bearer " + kind + said}
	if n/16%2 == 1 {
		header = []string{"Cookie", "parley=" + kind + said}
	}
	return w.want(ctx, a, http.MethodGet, []string{"/chats", "/me", "/users"}[n%3], "", append(header, "Parley-Tenant", string(w.a.id))...)
}
