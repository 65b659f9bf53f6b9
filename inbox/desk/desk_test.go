package desk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
	"parley/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// world is a desk on a real database and bus, with an adapter that a test scripts.
type world struct {
	t      *testing.T
	url    string
	db     *store.DB
	bus    *jetstream.Bus
	desk   *desk.Desk
	tenant events.TenantID
	// check is what the provider says; asked counts how often it was.
	check func(secrets map[string]string) (desk.Report, error)
	asked int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, url: storetest.NewDatabase(t), bus: natstest.Start(t)}
	var err error
	if w.db, err = store.Open(t.Context(), w.url, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.db.Close)
	tenant, err := w.db.EnsureTenant(t.Context(), "Acme")
	if err != nil {
		t.Fatal(err)
	}
	w.tenant = tenant.ID
	keys, err := inbox.ParseKey(inbox.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	w.check = func(map[string]string) (desk.Report, error) { return desk.Report{Account: "@bot"}, nil }
	w.desk = &desk.Desk{Store: w.db, Bus: w.bus, Keyring: keys, Adapters: map[events.Transport]desk.Adapter{
		events.Telegram: {
			Secrets: []string{"token"}, WebhookSecret: "webhook_secret", Mode: events.Polling,
			Validate: func(ch events.Channel, _ map[string]string) error {
				if ch.Settings["bad"] != "" {
					return errors.New("setting \"bad\" must not be set")
				}
				return nil
			},
			Check: func(_ context.Context, _ events.Channel, secrets map[string]string) (desk.Report, error) {
				w.asked++
				return w.check(secrets)
			},
		},
	}}
	return w
}

func (w *world) newChannel(name string) desk.NewChannel {
	return desk.NewChannel{Tenant: w.tenant, Transport: events.Telegram, Name: name, Secrets: map[string]string{"token": "t-1"}}
}

func (w *world) add(name string) store.Channel {
	w.t.Helper()
	ch, err := w.desk.ChannelAdd(w.t.Context(), w.newChannel(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return ch
}

// projected are the channels on the bus by id.
func (w *world) projected() map[events.ChannelID]events.Channel {
	w.t.Helper()
	all, err := w.bus.Channels(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	byID := map[events.ChannelID]events.Channel{}
	for _, ch := range all {
		byID[ch.ID] = ch
	}
	return byID
}

func wantCode(t *testing.T, err error, code inbox.Code) {
	t.Helper()
	if inbox.CodeOf(err) != code {
		t.Fatalf("got error %v, want code %s", err, code)
	}
	t.Log(err)
}

func TestTenantIsNamedOrTheOnlyOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"", "Acme", "acme", string(w.tenant)} {
		if got, err := w.desk.Tenant(t.Context(), name); err != nil || got.ID != w.tenant {
			t.Errorf("%q: got %v, %v", name, got, err)
		}
	}
	_, err := w.desk.Tenant(t.Context(), "Nobody")
	wantCode(t, err, inbox.NotFound)
	for range 2 {
		if _, err := w.db.CreateTenant(t.Context(), "Twin"); err != nil {
			t.Fatal(err)
		}
	}
	_, err = w.desk.Tenant(t.Context(), "")
	wantCode(t, err, inbox.Invalid)
	_, err = w.desk.Tenant(t.Context(), "Twin")
	wantCode(t, err, inbox.Invalid)
}

func TestChannelAddSealsStoresAndProjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ch := w.add("Support")
	if ch.Account != "@bot" || ch.Mode != events.Polling || len(ch.WebhookPath) < 43 {
		t.Errorf("channel is %+v", ch)
	}
	secrets, err := w.desk.Keyring.Open(string(ch.ID), ch.Sealed)
	if err != nil || secrets["token"] != "t-1" || len(secrets["webhook_secret"]) < 43 {
		t.Errorf("secrets are %v, %v", secrets, err)
	}
	if got := w.projected()[ch.ID]; got.Version != 1 || got.WebhookPath != ch.WebhookPath || string(got.Sealed) != string(ch.Sealed) {
		t.Errorf("projected is %+v", got)
	}
}

func TestChannelAddRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		name   string
		change func(*desk.NewChannel)
		check  error
		code   inbox.Code
	}{
		{"unknown transport", func(n *desk.NewChannel) { n.Transport = "pigeon" }, nil, inbox.Invalid},
		{"no name", func(n *desk.NewChannel) { n.Name = " " }, nil, inbox.Invalid},
		{"no token", func(n *desk.NewChannel) { n.Secrets = nil }, nil, inbox.Invalid},
		{"webhook without a public URL", func(n *desk.NewChannel) { n.Mode = events.Webhook }, nil, inbox.Invalid},
		{"bad country", func(n *desk.NewChannel) { n.Country = "Germany" }, nil, inbox.Invalid},
		{"what the adapter refuses", func(n *desk.NewChannel) { n.Settings = map[string]string{"bad": "x"} }, nil, inbox.Invalid},
		{"bad mode", func(n *desk.NewChannel) { n.Mode = "osmosis" }, nil, inbox.Invalid},
		{"refused credentials", func(*desk.NewChannel) {}, fmt.Errorf("%w: 401", desk.ErrCredentials), inbox.Invalid},
		{"provider out of reach", func(*desk.NewChannel) {}, errors.New("connection refused"), inbox.Unavailable},
	} {
		w.check = func(map[string]string) (desk.Report, error) { return desk.Report{}, tt.check }
		n := w.newChannel("Support")
		tt.change(&n)
		_, err := w.desk.ChannelAdd(t.Context(), n)
		wantCode(t, err, tt.code)
	}
	if n := storetest.Int(t, w.url, "SELECT count(*) FROM parley_channels"); n != 0 || len(w.projected()) != 0 {
		t.Errorf("%d channels were stored, %d projected", n, len(w.projected()))
	}

	asked := w.asked
	n := w.newChannel("Support")
	n.Unchecked = true
	if ch, err := w.desk.ChannelAdd(t.Context(), n); err != nil || ch.Account != "" || w.asked != asked {
		t.Errorf("unchecked: %+v, %v, asked %d times", ch, err, w.asked-asked)
	}
	_, err := w.desk.ChannelAdd(t.Context(), n)
	wantCode(t, err, inbox.Conflict)
}

func TestChannelIsFoundByWhatNamesOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ch := w.add("Support")
	for _, ref := range []string{"Support", "support", string(ch.ID), string(ch.ID)[:8], "telegram"} {
		if got, err := w.desk.Channel(t.Context(), w.tenant, ref); err != nil || got.ID != ch.ID {
			t.Errorf("%q: %v, %v", ref, got.ID, err)
		}
	}
	_, err := w.desk.Channel(t.Context(), w.tenant, "Sales")
	wantCode(t, err, inbox.NotFound)
	w.check = func(map[string]string) (desk.Report, error) { return desk.Report{Account: "@other"}, nil }
	w.add("Sales")
	_, err = w.desk.Channel(t.Context(), w.tenant, "telegram")
	wantCode(t, err, inbox.Invalid)
}

func TestPauseReachesTheBus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ch := w.add("Support")
	if _, err := w.desk.ChannelPause(t.Context(), w.tenant, "Support", true); err != nil {
		t.Fatal(err)
	}
	if got := w.projected()[ch.ID]; !got.Paused || got.Version != 2 {
		t.Errorf("projected is %+v", got)
	}
}

func TestProjectionHeals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kept := w.add("Kept")
	// A crash between the commit and the bus.
	w.check = func(map[string]string) (desk.Report, error) { return desk.Report{}, nil }
	changed := w.add("Changed")
	if _, err := w.db.PauseChannel(t.Context(), w.tenant, changed.ID, true); err != nil {
		t.Fatal(err)
	}
	missing := events.Channel{
		ID: events.ChannelID(uuid.NewString()), Tenant: w.tenant, Transport: events.Telegram, Name: "Missing", Mode: events.Polling,
		WebhookPath: uuid.NewString(),
	}
	if _, err := w.db.CreateChannel(t.Context(), missing, "", ""); err != nil {
		t.Fatal(err)
	}
	gone := missing
	gone.ID, gone.Version = events.ChannelID(uuid.NewString()), 3
	if err := w.bus.PutChannel(t.Context(), gone); err != nil {
		t.Fatal(err)
	}

	if err := w.desk.Project(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := w.projected()
	if len(got) != 3 || got[kept.ID].Version != 1 || !got[changed.ID].Paused || got[missing.ID].Name != "Missing" {
		t.Errorf("projected are %+v", got)
	}
	if err := w.desk.Project(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestChannelCheckTellsInWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ch := w.add("Support")
	at := time.Now().UTC().Truncate(time.Second)
	if err := w.bus.PutHealth(t.Context(), events.ChannelHealth{Channel: ch.ID, State: events.Degraded, Error: "timeouts", Since: at}); err != nil {
		t.Fatal(err)
	}
	w.check = func(secrets map[string]string) (desk.Report, error) {
		if secrets["token"] != "t-1" {
			return desk.Report{}, errors.New("wrong secrets")
		}
		return desk.Report{Account: "@renamed", Pending: 7, LastError: "connection refused"}, nil
	}
	got, err := w.desk.ChannelCheck(t.Context(), w.tenant, "Support")
	if err != nil || got.State != events.Degraded || !got.Since.Equal(at) || got.Report == nil || got.Report.Pending != 7 {
		t.Fatalf("check is %+v, %v", got, err)
	}
	want := []string{
		"The gateway has trouble and keeps trying: timeouts.", "The provider knows us as @renamed.",
		"It holds 7 updates for us.", "Its last delivery error was: connection refused.",
	}
	if fmt.Sprint(got.Words) != fmt.Sprint(want) {
		t.Errorf("words are %q", got.Words)
	}
	if now, err := w.db.Channel(t.Context(), w.tenant, ch.ID); err != nil || now.Account != "@renamed" || w.projected()[ch.ID].Version != now.Version {
		t.Errorf("stored is %+v, %v", now, err)
	}

	w.check = func(map[string]string) (desk.Report, error) {
		return desk.Report{}, fmt.Errorf("%w: 401 Unauthorized", desk.ErrCredentials)
	}
	got, err = w.desk.ChannelCheck(t.Context(), w.tenant, "Support")
	if err != nil || got.Report != nil || got.Refusal == "" {
		t.Errorf("check is %+v, %v", got, err)
	}
	t.Log(got.Words)
}

func TestReplyByTheNameOfTheChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("Support")
	_, err := w.desk.Reply(t.Context(), desk.Reply{Tenant: w.tenant, Chat: 1, Channel: "Nope", Text: "hi"})
	wantCode(t, err, inbox.NotFound)
	_, err = w.desk.Reply(t.Context(), desk.Reply{Tenant: w.tenant, Chat: 1, Channel: "Support", Text: "hi"})
	wantCode(t, err, inbox.NotFound) // no such chat
}

func TestStreamResumes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var facts []events.Fact
	for i := range int64(5) {
		facts = append(facts, events.Fact{
			ID: i + 1, Tenant: w.tenant, Noun: "message", Verb: "received", Chat: i%2 + 1, Time: time.Now(), Data: json.RawMessage(`{}`),
		})
	}
	if err := w.bus.PublishFacts(t.Context(), facts); err != nil {
		t.Fatal(err)
	}
	read := func(from desk.StreamFrom, n int) (got []desk.Followed) {
		t.Helper()
		from.Tenant = w.tenant
		tail, err := w.desk.Stream(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		defer tail.Close()
		for len(got) < n {
			more, err := tail.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, more...)
		}
		return got
	}
	all := read(desk.StreamFrom{After: "0"}, 5)
	if all[4].Fact.ID != 5 {
		t.Errorf("got %+v", all)
	}
	if rest := read(desk.StreamFrom{After: all[2].Resume}, 2); rest[0].Fact.ID != 4 {
		t.Errorf("resumed with %+v", rest)
	}
	if second := read(desk.StreamFrom{After: "0", Chat: 2}, 2); second[0].Fact.ID != 2 || second[1].Fact.ID != 4 {
		t.Errorf("chat 2 has %+v", second)
	}
	_, err := w.desk.Stream(t.Context(), desk.StreamFrom{Tenant: w.tenant, After: "105"})
	if !errors.Is(err, desk.ErrReset) {
		t.Errorf("got %v", err)
	}
}
