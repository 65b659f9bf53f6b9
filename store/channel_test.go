package store_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/storetest"
)

func TestChannelRoundTrip(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	ch := w.newChannel("Second")
	ch.Country, ch.Settings = "DE", map[string]string{"api_url": "http://localhost:1"}
	made, err := w.db.CreateChannel(t.Context(), ch, "@second", "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.db.Channel(t.Context(), w.tenant, ch.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []store.Channel{made, got} {
		if c.ID != ch.ID || c.Tenant != w.tenant || c.Version != 1 || c.Settings["api_url"] != "http://localhost:1" ||
			string(c.Sealed) != "sealed" || c.WebhookPath != ch.WebhookPath || c.Country != "DE" || c.Account != "@second" || c.Paused {
			t.Errorf("channel is %+v", c)
		}
	}
	all, err := w.db.Channels(t.Context(), w.tenant)
	if err != nil || len(all) != 2 || all[0].Name != "Second" || all[1].Name != "Support" {
		t.Errorf("channels are %+v, %v", all, err)
	}
	if every, err := w.db.AllChannels(t.Context()); err != nil || len(every) != 2 {
		t.Errorf("all channels are %+v, %v", every, err)
	}
}

func TestChannelVersionRisesWithEveryChange(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	name, mode := "Helpdesk", events.Webhook
	type step struct {
		what    string
		do      func() (store.Channel, error)
		version int64
	}
	for _, s := range []step{
		{"update", func() (store.Channel, error) {
			return w.db.UpdateChannel(t.Context(), w.tenant, w.channel, store.ChannelChange{Name: &name, Mode: &mode})
		}, 2},
		{"pause", func() (store.Channel, error) { return w.db.PauseChannel(t.Context(), w.tenant, w.channel, true) }, 3},
		{"pause again", func() (store.Channel, error) { return w.db.PauseChannel(t.Context(), w.tenant, w.channel, true) }, 3},
		{"resume", func() (store.Channel, error) { return w.db.PauseChannel(t.Context(), w.tenant, w.channel, false) }, 4},
		{"rotate", func() (store.Channel, error) {
			return w.db.RotateChannel(t.Context(), w.tenant, w.channel, []byte("new"), "a-new-path-that-is-long-enough-to-be-one")
		}, 5},
	} {
		c, err := s.do()
		if err != nil || c.Version != s.version {
			t.Fatalf("%s: version %d, %v", s.what, c.Version, err)
		}
	}
	c, err := w.db.Channel(t.Context(), w.tenant, w.channel)
	if err != nil || c.Name != name || c.Mode != mode || c.Paused || string(c.Sealed) != "new" || c.Account != "@Support" {
		t.Errorf("channel is %+v, %v", c, err)
	}
	blank := " "
	_, err = w.db.UpdateChannel(t.Context(), w.tenant, w.channel, store.ChannelChange{Name: &blank})
	wantCode(t, err, inbox.Invalid)
	_, err = w.db.PauseChannel(t.Context(), w.tenant, "nonsense", true)
	wantCode(t, err, inbox.NotFound)
}

func TestChannelNamesAndAccountsAreOnce(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	_, err := w.db.CreateChannel(t.Context(), w.newChannel("support"), "@other", "")
	wantCode(t, err, inbox.Conflict)
	_, err = w.db.CreateChannel(t.Context(), w.newChannel("Other"), "@Support", "")
	wantCode(t, err, inbox.Conflict)

	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 6 {
		wg.Go(func() {
			_, err := w.db.CreateChannel(t.Context(), w.newChannel("Race"), "", "")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if inbox.CodeOf(err) != inbox.Conflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Errorf("%d channels of one name", made)
	}
}

func TestReplicasAgreeOnTenantAndOperator(t *testing.T) {
	t.Parallel()
	url := storetest.NewDatabase(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := store.Open(t.Context(), url, &store.Options{WorkerConns: 2, APIConns: 1})
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			tenant, err := db.EnsureTenant(t.Context(), "Default")
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := db.EnsureOperator(t.Context(), tenant.ID); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := storetest.Int(t, url, `SELECT count(*) FROM tenants`); n != 1 {
		t.Errorf("%d tenants", n)
	}
	if n := storetest.Int(t, url, `SELECT count(*) FROM core_users`); n != 1 {
		t.Errorf("%d operators", n)
	}
}

// Who changes a guarded channel's settings does not take the guard away.
func TestGuardStays(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	ch := events.Channel{
		ID: events.ChannelID(uuid.NewString()), Tenant: w.tenant, Transport: events.Telegram, Name: "Guarded", Mode: events.Polling,
		WebhookPath: strings.Repeat("g", 40), Sealed: []byte("s"), Settings: map[string]string{"api_url": "https://bots.example"},
	}
	ch.Guard()
	if _, err := w.db.CreateChannel(t.Context(), ch, "", ""); err != nil {
		t.Fatal(err)
	}
	for _, settings := range []map[string]string{{"api_url": "http://127.0.0.1"}, {"guarded": ""}, nil} {
		c, err := w.db.UpdateChannel(t.Context(), w.tenant, ch.ID, store.ChannelChange{Settings: settings})
		if err != nil || !c.Guarded() {
			t.Errorf("after %v: %+v, %v", settings, c.Settings, err)
		}
	}
	c, err := w.db.UpdateChannel(t.Context(), w.tenant, w.channel, store.ChannelChange{Settings: map[string]string{"api_url": "http://127.0.0.1"}})
	if err != nil || c.Guarded() || len(c.Settings) != 1 {
		t.Errorf("the operator's: %+v, %v", c.Settings, err)
	}
}
