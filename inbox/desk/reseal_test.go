package desk_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
	"parley/store/storetest"
)

// rotated puts a new key in front of the desk's.
func (w *world) rotated() (old, fresh *inbox.Key) {
	w.t.Helper()
	old = w.desk.Keyring.Current()
	next, err := w.desk.Keyring.With(inbox.DatedKey(time.Now()))
	if err != nil {
		w.t.Fatal(err)
	}
	fresh = next.Keys()[len(next.Keys())-1]
	w.desk.Keyring.Replace(next.Using(fresh.ID))
	return old, fresh
}

// sealedBy counts what each key has sealed, by its ID; empty is unnamed.
func (w *world) sealedBy() map[string]int64 {
	w.t.Helper()
	counts, err := w.db.SealedCounts(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	by := map[string]int64{}
	for _, c := range counts {
		by[c.Key] += c.Count
	}
	return by
}

// TestReseal seals all kinds anew, is cut short on the way, and goes on.
func TestReseal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.desk.PrivateWebhooks = true
	w.check = func(map[string]string) (desk.Report, error) { return desk.Report{}, nil } // accounts without names
	const each = 7
	actor := inbox.Actor{Kind: inbox.Operator}
	for i := range each {
		w.add(fmt.Sprint("channel ", i))
		if _, secret, err := w.desk.AddWebhook(t.Context(), w.tenant, actor, desk.NewWebhook{URL: fmt.Sprintf("http://example.com/%d", i)}); err != nil || secret == "" {
			t.Fatal(err)
		}
		user := storetest.Int(t, w.url, `INSERT INTO core_users (tenant_id, name, email) VALUES ($1, 'u', $2) RETURNING id`, w.tenant, fmt.Sprintf("u%d@example.com", i))
		sealed, err := w.desk.Keyring.Seal(inbox.SealedTOTP(w.tenant, user), map[string]string{"totp": fmt.Sprint("factor ", user)})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.db.SetTOTP(t.Context(), w.tenant, actor, user, sealed, 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.db.Secret(t.Context(), inbox.SealedErasures, func() ([]byte, error) {
		return w.desk.Keyring.Seal(inbox.SealedErasures, map[string]string{"key": "graves"})
	}); err != nil {
		t.Fatal(err)
	}
	const all = 3*each + 1
	if by := w.sealedBy(); by[""] != all {
		t.Fatalf("sealed: %v", by)
	}
	if r, err := w.desk.Reseal(t.Context(), 2, nil); err != nil || r.Done != 0 {
		t.Fatalf("with one key: %+v, %v", r, err)
	}

	old, fresh := w.rotated()
	dying, kill := context.WithCancel(t.Context())
	batches := 0
	r, err := w.desk.Reseal(dying, 2, func(desk.Resealing) {
		if batches++; batches == 5 { // in the middle of the webhooks
			kill()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("killed: %+v, %v", r, err)
	}
	done := r.Done
	if by := w.sealedBy(); by[fresh.ID] != done || by[""] != all-done || done < each || done >= all-each {
		t.Fatalf("in the middle, at %d: %v", done, by)
	}
	if r, err = w.desk.Reseal(t.Context(), 2, nil); err != nil || r.Done != all-done || len(r.Failed) != 0 {
		t.Fatalf("again: %+v, %v", r, err)
	}
	if by := w.sealedBy(); by[fresh.ID] != all || len(by) != 1 {
		t.Fatalf("afterwards: %v", by)
	}
	for id, ch := range w.projected() {
		if _, by := inbox.SealMark(ch.Sealed); by != fresh.ID || ch.Version != 2 {
			t.Errorf("%s on the bus is sealed by %q, version %d", id, by, ch.Version)
		}
	}

	// Without the old key everything opens, and is what it was.
	w.desk.Keyring.Replace(w.desk.Keyring.Without(old.ID))
	for _, ch := range w.projected() {
		if secrets, err := w.desk.Keyring.OpenChannel(ch); err != nil || secrets["token"] != "t-1" {
			t.Errorf("%s: %v, %v", ch.Name, secrets, err)
		}
	}
	hooks, err := w.db.Webhooks(t.Context(), w.tenant, "", 100)
	if err != nil || len(hooks) != each {
		t.Fatal(len(hooks), err)
	}
	for _, h := range hooks {
		if secrets, err := w.desk.Keyring.Open(inbox.SealedWebhook(h.ID), h.Sealed); err != nil || !strings.HasPrefix(secrets["secret"], "whsec_") {
			t.Errorf("webhook %s: %v", h.URL, err)
		}
	}
	for _, v := range w.values(store.SealedTOTPs) {
		if secrets, err := w.desk.Keyring.Open("totp:"+string(v.Tenant)+":"+v.ID, v.Sealed); err != nil || secrets["totp"] != "factor "+v.ID {
			t.Errorf("second factor of %s: %v", v.ID, err)
		}
	}
	for _, v := range w.values(store.SealedOwnSecret) {
		if secrets, err := w.desk.Keyring.Open(inbox.SealedErasures, v.Sealed); err != nil || secrets["key"] != "graves" {
			t.Errorf("%s: %v", v.ID, err)
		}
	}
}

// values are all of a kind.
func (w *world) values(kind store.SealedKind) []store.SealedValue {
	w.t.Helper()
	list, err := w.db.SealedOtherwise(w.t.Context(), kind, []byte("none begins like this"), "", 1000)
	if err != nil || len(list) == 0 {
		w.t.Fatal(len(list), err)
	}
	return list
}

// TestResealLeavesWhatIsNewer loses no secret that somebody sets meanwhile, and says
// what it cannot open.
func TestResealLeavesWhatIsNewer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.check = func(map[string]string) (desk.Report, error) { return desk.Report{}, nil }
	ch := w.add("Support")
	lost := w.add("Hotline")
	stranger, err := inbox.ParseKey(inbox.DatedKey(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := stranger.Seal(string(lost.ID), map[string]string{"token": "elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.RotateChannel(t.Context(), w.tenant, lost.ID, sealed, ""); err != nil {
		t.Fatal(err)
	}
	w.rotated()
	read := w.values(store.SealedChannels)
	if _, err := w.desk.ChannelRotate(t.Context(), desk.Rotation{Tenant: w.tenant, Channel: "Support", Secrets: map[string]string{"token": "t-2"}}); err != nil {
		t.Fatal(err)
	}
	for _, v := range read {
		if v.ID != string(ch.ID) {
			continue
		}
		if done, err := w.db.Reseal(t.Context(), v, []byte("what was read before")); err != nil || done {
			t.Errorf("it replaced a newer value: %t, %v", done, err)
		}
	}
	r, err := w.desk.Reseal(t.Context(), 1, nil)
	if err != nil || len(r.Failed) != 1 || !strings.Contains(r.Failed[0], "Hotline") || !strings.Contains(r.Failed[0], stranger.Current().ID) {
		t.Errorf("got %+v, %v", r, err)
	}
	now, err := w.db.Channel(t.Context(), w.tenant, ch.ID)
	if err != nil {
		t.Fatal(err)
	}
	if secrets, err := w.desk.Keyring.OpenChannel(now.Channel); err != nil || secrets["token"] != "t-2" {
		t.Errorf("has %v, %v", secrets, err)
	}
	_, err = w.desk.ChannelRotate(t.Context(), desk.Rotation{Tenant: w.tenant, Channel: "Hotline", Secrets: map[string]string{"token": "t-2"}})
	if inbox.CodeOf(err) != inbox.Unavailable || !strings.Contains(err.Error(), `"Hotline"`) || !strings.Contains(err.Error(), stranger.Current().ID) {
		t.Errorf("got %v", err)
	}
}
