package email_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"parley/transports"
	"parley/transports/email"
)

// TestLogIn tries the ways to log in, and what is said when they fail.
func TestLogIn(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/introspect" && r.URL.Query().Get("token") == "access-1":
			fmt.Fprintf(w, `{"active":true,"email":%q}`, ownAddress)
		case r.URL.Path == "/introspect":
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"active":false}`)
		case r.FormValue("refresh_token") == "refresh-1":
			fmt.Fprintf(w, `{"access_token":"access-%d","token_type":"Bearer","expires_in":3600}`, asked.Add(1))
		default:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":"invalid_grant","error_description":%q}`, r.FormValue("refresh_token"))
		}
	}))
	defer tokens.Close()
	d := startDovecot(t, checkTokens(t, tokens.URL))

	try := func(settings, secrets map[string]string) error {
		t.Helper()
		a := account(d.settings(settings))
		if secrets != nil {
			a.Secrets = secrets
		}
		m, err := email.NewWithDial(a, direct)
		if err != nil {
			t.Fatal(err)
		}
		p := startPolling(t, m, "")
		select {
		case <-p.moved:
			p.stop()
			_ = p.ended() // as it was told to
			return nil
		case err := <-p.done:
			return err
		}
	}
	withOAuth := map[string]string{"token_url": tokens.URL + "/token", "client_id": "us"}
	imaps := fmt.Sprintf("127.0.0.1:%d", d.imaps)
	if err := try(nil, nil); err != nil {
		t.Errorf("password: %v", err)
	}
	if err := try(map[string]string{"imap_security": "starttls", "ca": d.certificate}, nil); err != nil {
		t.Errorf("STARTTLS: %v", err)
	}
	if err := try(map[string]string{"imap_security": "tls", "imap": imaps, "ca": d.certificate}, nil); err != nil {
		t.Errorf("TLS: %v", err)
	}
	if err := try(map[string]string{"imap_security": "tls", "imap": imaps}, nil); err == nil || errors.Is(err, transports.ErrCredentials) {
		t.Errorf("a certificate nobody vouches for: %v", err)
	}
	if err := try(nil, map[string]string{"password": "wrong-password"}); !errors.Is(err, transports.ErrCredentials) || strings.Contains(err.Error(), "wrong-password") {
		t.Errorf("a wrong password: %v", err)
	}
	if err := try(withOAuth, map[string]string{"refresh_token": "refresh-1"}); err != nil {
		t.Errorf("XOAUTH2: %v", err)
	}
	// The second access token is none that the server knows.
	if err := try(withOAuth, map[string]string{"refresh_token": "refresh-1"}); !errors.Is(err, transports.ErrCredentials) || strings.Contains(err.Error(), "access-2") {
		t.Errorf("a refused access token: %v", err)
	}
	if err := try(withOAuth, map[string]string{"refresh_token": "refresh-2"}); !errors.Is(err, transports.ErrCredentials) || strings.Contains(err.Error(), "refresh-2") {
		t.Errorf("a withdrawn refresh token: %v", err)
	}
}
