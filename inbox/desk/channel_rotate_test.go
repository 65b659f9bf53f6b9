package desk_test

import (
	"fmt"
	"testing"

	"parley/events"
	"parley/inbox"
	"parley/inbox/desk"
)

// New secrets are checked before anything changes, and reach the gateways sealed;
// what was not named stays.
func TestChannelRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	adapter := w.desk.Adapters[events.Telegram]
	adapter.Optional = []string{"token_next"}
	w.desk.Adapters[events.Telegram] = adapter
	first := w.add("Support")
	made, err := w.desk.Keyring.Open(string(first.ID), first.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	account := "@bot"
	w.check = func(secrets map[string]string) (desk.Report, error) {
		if secrets["token"] == "wrong" {
			return desk.Report{}, fmt.Errorf("%w: 401", desk.ErrCredentials)
		}
		return desk.Report{Account: account}, nil
	}
	rotate := func(secrets map[string]string, webhook bool) error {
		_, err := w.desk.ChannelRotate(t.Context(), desk.Rotation{Tenant: w.tenant, Channel: "Support", Secrets: secrets, Webhook: webhook})
		return err
	}
	wantCode(t, rotate(nil, false), inbox.Invalid)
	wantCode(t, rotate(map[string]string{"tokn": "t-2"}, false), inbox.Invalid)
	wantCode(t, rotate(map[string]string{"token": "wrong"}, false), inbox.Invalid)
	wantCode(t, rotate(map[string]string{"token": ""}, false), inbox.Invalid)
	account = "@other"
	wantCode(t, rotate(map[string]string{"token": "t-2"}, false), inbox.Conflict)
	account = "@bot"
	same := func(secrets map[string]string, version int64) events.Channel {
		t.Helper()
		ch := w.projected()[first.ID]
		opened, err := w.desk.Keyring.Open(string(ch.ID), ch.Sealed)
		if err != nil || ch.Version != version || fmt.Sprint(opened) != fmt.Sprint(secrets) {
			t.Errorf("version %d on the bus has %v, %v; want %d with %v", ch.Version, opened, err, version, secrets)
		}
		return ch
	}
	ours := made["webhook_secret"]
	same(map[string]string{"token": "t-1", "webhook_secret": ours}, 1)
	if err := rotate(map[string]string{"token_next": "t-2"}, false); err != nil {
		t.Fatal(err)
	}
	same(map[string]string{"token": "t-1", "token_next": "t-2", "webhook_secret": ours}, 2)
	if err := rotate(map[string]string{"token": "t-2", "token_next": ""}, true); err != nil {
		t.Fatal(err)
	}
	if ch := same(map[string]string{"token": "t-2", "webhook_secret": ours}, 3); ch.WebhookPath == first.WebhookPath || len(ch.WebhookPath) < 32 {
		t.Errorf("the webhook path is %q", ch.WebhookPath)
	}
}

func TestChannelReconcileAsksTheGateways(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ch := w.add("Support")
	ask := func() error {
		_, err := w.desk.ChannelReconcile(t.Context(), w.tenant, "Support")
		return err
	}
	asked := func() string {
		t.Helper()
		id, err := w.bus.ReconcileAsked(t.Context(), ch.ID)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	wantCode(t, ask(), inbox.Refused)
	adapter := w.desk.Adapters[events.Telegram]
	adapter.Abilities = func(events.Channel, map[string]string) (inbox.Abilities, error) {
		return inbox.Abilities{Lists: true}, nil
	}
	w.desk.Adapters[events.Telegram] = adapter
	if _, err := w.desk.ChannelPause(t.Context(), w.tenant, "Support", true); err != nil {
		t.Fatal(err)
	}
	wantCode(t, ask(), inbox.Refused)
	if _, err := w.desk.ChannelPause(t.Context(), w.tenant, "Support", false); err != nil {
		t.Fatal(err)
	}
	if asked() != "" {
		t.Error("something was asked for already")
	}
	if err := ask(); err != nil || asked() == "" {
		t.Errorf("asked %q, %v", asked(), err)
	}
}
