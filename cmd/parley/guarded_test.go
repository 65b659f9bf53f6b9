package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"parley/events"
	"parley/transports"
)

// A channel that was added over the network has nobody inside asked, by whichever
// adapter; the operator's may.
func TestGuardedChannelsReachNobodyInside(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	defer inside.Close()
	host := strings.TrimPrefix(inside.URL, "http://")
	for transport, a := range map[events.Transport]transports.Account{
		events.Telegram: {Secrets: map[string]string{"token": "1:x", "webhook_secret": "s"}, Channel: events.Channel{Settings: map[string]string{"api_url": inside.URL}}},
		events.SMS: {Secrets: map[string]string{"auth_token": strings.Repeat("0", 32)}, Channel: events.Channel{Country: "DE", Settings: map[string]string{
			"api_url": inside.URL, "account_sid": "AC" + strings.Repeat("0", 32), "from": "+15005550006",
		}}},
		events.Email: {Secrets: map[string]string{"password": "x", "reply_key": strings.Repeat("k", 43)}, Channel: events.Channel{Settings: map[string]string{
			"address": "a@example.com", "imap": host, "imap_security": "none", "smtp": host, "smtp_security": "none",
		}}},
	} {
		a.HTTPClient = inside.Client()
		a.Channel.Transport = transport
		a.Channel.Guard()
		made, err := factories()[transport](a)
		if err != nil {
			t.Fatal(transport, ": ", err)
		}
		c, ok := made.(transports.Connector)
		if !ok {
			t.Fatal(transport, " cannot be checked")
		}
		if _, err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "not a public one") && !errors.Is(err, transports.ErrNotPublic) {
			t.Errorf("%s: %v", transport, err)
		}
		if asked.Load() != 0 {
			t.Errorf("%s asked somebody inside", transport)
		}
	}
	free, err := factories()[events.Telegram](transports.Account{
		HTTPClient: inside.Client(), Secrets: map[string]string{"token": "1:x", "webhook_secret": "s"},
		Channel: events.Channel{Transport: events.Telegram, Settings: map[string]string{"api_url": inside.URL}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := free.(transports.Connector).Check(t.Context()); err == nil || asked.Load() == 0 {
		t.Errorf("the operator's channel does not reach a server of one's own: %v", err)
	}
}
