package jetstream_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"parley/events"
	"parley/events/jetstream"
)

// guestList lets in whoever it holds, by password.
type guestList struct {
	mu      sync.Mutex
	guests  map[string]jetstream.Guest
	changed chan struct{}
	down    bool
	refused chan struct{} // each look while down
}

func (l *guestList) Guest(_ context.Context, password string) (jetstream.Guest, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		l.refused <- struct{}{}
		return jetstream.Guest{}, false, errors.New("the database is away")
	}
	g, ok := l.guests[password]
	return g, ok, nil
}

func (l *guestList) Changed(events.TenantID) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

func (l *guestList) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

// A guest reads its tenant's facts and nothing else: no other tenant's, no raw
// traffic, no request, nothing written; and no longer than its password lives.
func TestGuestsReadTheirTenantsFactsOnly(t *testing.T) {
	t.Parallel()
	e, err := jetstream.Embed(t.Context(), jetstream.EmbedOptions{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Shutdown(context.Background()) }) //nolint:usetesting // the test's is over
	creds := e.Credentials()
	list := &guestList{changed: make(chan struct{}), refused: make(chan struct{}, 16), guests: map[string]jetstream.Guest{
		"a": {Tenant: "tenant-a", Hidden: []string{"user"}}, "b": {Tenant: "tenant-b"}, "wild": {Tenant: "*"},
	}}
	if nc, err := nats.Connect(creds.URL, nats.UserInfo("", "a")); err == nil {
		nc.Close()
		t.Fatal("somebody was let in before anybody is")
	}
	e.AdmitGuests(list)
	for _, no := range []nats.Option{
		nats.UserInfo("parley", "guess"), nats.UserInfo("", "c"), nats.Token("c"), nats.UserInfo("wild", "wild"), nats.Name("nobody"),
	} {
		if nc, err := nats.Connect(creds.URL, no); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("let in: %v, %v", nc, err)
		}
	}
	list.change(func() { list.down = true })
	if _, err := nats.Connect(creds.URL, nats.Token("a")); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("let in unchecked: %v", err)
	}
	<-list.refused
	list.change(func() { list.down = false })

	parley, err := nats.Connect(creds.URL, nats.UserInfo(creds.User, creds.Password))
	if err != nil {
		t.Fatal(err)
	}
	defer parley.Close()
	refusals := make(chan string, 16)
	gone := make(chan struct{})
	guest, err := nats.Connect(creds.URL, nats.Token("a"), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refusals <- err.Error() }),
		nats.ClosedHandler(func(*nats.Conn) { close(gone) }))
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	told := make(chan *nats.Msg, 16)
	own, err := guest.ChanSubscribe("parley.fact.tenant-a.>", told)
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{">", "parley.>", "parley.fact.>", "parley.fact.*.message.>", "parley.fact.tenant-b.>", "parley.fact.tenant-a.user.>", "parley.in.0", "$JS.>", "$KV.>", "_INBOX.x"} {
		if _, err := guest.ChanSubscribe(subject, told); err != nil {
			t.Fatal(err)
		}
		if err := guest.Flush(); err != nil {
			t.Fatal(err)
		}
		if words := <-refusals; !strings.Contains(strings.ToLower(words), "permissions violation for subscription") {
			t.Errorf("%s: %s", subject, words)
		}
	}
	overheard := make(chan *nats.Msg, 16)
	if _, err := parley.ChanSubscribe(">", overheard); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"parley.fact.tenant-a.message.sent.1", "parley.in.0", "$JS.API.STREAM.NAMES", "$JS.API.DIRECT.GET.PARLEY_FACTS.parley.fact.tenant-a.x"} {
		if err := guest.PublishRequest(subject, "parley.in.0", []byte("forged")); err != nil {
			t.Fatal(err)
		}
		if err := guest.Flush(); err != nil {
			t.Fatal(err)
		}
		if words := <-refusals; !strings.Contains(strings.ToLower(words), "permissions violation for publish") {
			t.Errorf("%s: %s", subject, words)
		}
	}
	for _, subject := range []string{"tenant-b.message.sent.1", "tenant-a.user.changed.0", "tenant-a.message.sent.7"} {
		if err := parley.Publish("parley.fact."+subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	if m := <-told; m.Subject != "parley.fact.tenant-a.message.sent.7" {
		t.Errorf("told of %s", m.Subject)
	}
	// Whatever else had come would have come before.
	if n := len(told); n != 0 || !own.IsValid() {
		t.Errorf("%d more", n)
	}
	if m := <-overheard; m.Subject != "parley.fact.tenant-b.message.sent.1" {
		t.Errorf("a guest said something on %s", m.Subject)
	}

	// An outage of what checks passwords sends nobody away.
	list.change(func() { list.down = true })
	<-list.refused
	list.change(func() {}) // the next look is after what came of that one
	<-list.refused
	if err := guest.Flush(); err != nil {
		t.Errorf("sent away: %v", err)
	}
	list.change(func() { list.down = false })
	list.change(func() { delete(list.guests, "a") })
	<-gone
	if _, err := nats.Connect(creds.URL, nats.Token("a")); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("let in again: %v", err)
	}
}
