package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// TestTokensOnTheBus follows the facts on NATS with an API token until it is
// revoked. One without the scope is not let in.
func TestTokensOnTheBus(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	tenant, err := o.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	token := func(scope string) (made struct{ ID, Secret string }) {
		t.Helper()
		if err := json.Unmarshal([]byte(parley(t, o.dir, "token", "add", scope, "--role", "read_only", "--scopes", scope, "--json")), &made); err != nil {
			t.Fatal(err)
		}
		return made
	}
	if nc, err := nats.Connect(o.NATS.URL, nats.Token(token("audit:read").Secret)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a token without chats:read follows: %v, %v", nc, err)
	}
	reader := token("chats:read")
	gone := make(chan struct{})
	nc, err := nats.Connect(o.NATS.URL, nats.Token(reader.Secret), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(gone) }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	facts, err := nc.SubscribeSync("parley.fact." + string(tenant.ID) + ".message.received.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.telegram.Person("Anna").Say("Hello bus"); err != nil {
		t.Fatal(err)
	}
	m, err := facts.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(m.Data), "Hello bus") {
		t.Errorf("told %s", m.Data)
	}
	parley(t, o.dir, "token", "revoke", reader.ID)
	<-gone
}
