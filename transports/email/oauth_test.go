package email_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"parley/transports"
	"parley/transports/email"
)

// TestAccessTokens wants a token to be used while it is good for some minutes
// more, another before it runs out, and another once a server refused it.
func TestAccessTokens(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	var lasts atomic.Int64
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"access-%d","token_type":"Bearer","expires_in":%d}`, asked.Add(1), lasts.Load())
	}))
	defer provider.Close()
	a := account(map[string]string{"smtp": smtpAt, "token_url": provider.URL, "client_id": "us"})
	a.Secrets = map[string]string{"refresh_token": "refresh-1"}
	part := transports.Outbound{To: "anna@example.org", Part: transports.Part{Text: "x"}}
	mailbox := func(f *fakeSMTP) *email.Mailbox {
		m, err := email.NewWithDial(a, pipes(t, map[string]func(net.Conn){smtpAt: f.serve}))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, c := range []struct {
		lasts, want int64
	}{{3600, 1}, {299, 3}} {
		asked.Store(0)
		lasts.Store(c.lasts)
		f := &fakeSMTP{}
		m := mailbox(f)
		for range 3 {
			if _, err := m.Send(t.Context(), part); err != nil {
				t.Fatal(err)
			}
		}
		if asked.Load() != c.want {
			t.Errorf("asked for %d tokens good for %d s, want %d", asked.Load(), c.lasts, c.want)
		}
		login := base64.StdEncoding.EncodeToString([]byte("user=office@example.com\x01auth=Bearer access-1\x01\x01"))
		if !f.said("AUTH XOAUTH2 " + login) {
			t.Errorf("the server heard %q", f.lines)
		}
	}

	lasts.Store(3600)
	for name, says := range map[string]string{
		"challenged": "334 " + base64.StdEncoding.EncodeToString([]byte(`{"status":"400","schemes":"Bearer"}`)),
		"refused":    "535 5.7.8 not access-1",
	} {
		asked.Store(0)
		f := &fakeSMTP{answers: map[string]string{"AUTH": says}}
		m := mailbox(f)
		for n := range 2 {
			_, err := m.Send(t.Context(), part)
			var e *transports.SendError
			if !errors.As(err, &e) || !e.Credentials || e.Outcome != transports.Retry {
				t.Errorf("%s: %v", name, err)
			}
			if strings.Contains(fmt.Sprintf("%v %+v", err, e), fmt.Sprintf("access-%d", n+1)) {
				t.Errorf("%s: the access token is in %v", name, err)
			}
		}
		if asked.Load() != 2 {
			t.Errorf("%s: a refused token was used again", name)
		}
	}
}
