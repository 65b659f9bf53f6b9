package desk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
	"parley/store/storetest"
)

// receiver is somebody who is told.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	says  int // the status it answers
	calls chan call
}

type call struct {
	header http.Header
	body   string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{says: http.StatusOK, calls: make(chan call, 1000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		status := r.says
		r.mu.Unlock()
		if status == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		r.calls <- call{req.Header, string(body)}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) say(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.says = status
}

func (r *receiver) next(t *testing.T) call {
	t.Helper()
	select {
	case c := <-r.calls:
		return c
	case <-time.After(30 * time.Second):
		t.Fatal("nobody called")
		return call{}
	}
}

// toldWorld is a desk whose webhooks run.
func toldWorld(t *testing.T) (*world, func()) {
	t.Helper()
	w := newWorld(t)
	w.desk.PrivateWebhooks = true
	var done sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	done.Go(func() { w.desk.RunWebhooks(ctx, t.Name()) })
	t.Cleanup(func() { stop(); done.Wait() })
	return w, func() { stop(); done.Wait() }
}

func (w *world) fact(t *testing.T, id int64, noun string) {
	t.Helper()
	if err := w.bus.PublishFacts(t.Context(), []events.Fact{{
		ID: id, Tenant: w.tenant, Noun: noun, Verb: "received", Chat: 1, Time: time.Now().UTC(), Data: json.RawMessage(`{"text":"hi"}`),
	}}); err != nil {
		t.Fatal(err)
	}
}

// settled waits until a webhook's log says so.
func (w *world) settled(t *testing.T, id string, want func([]store.WebhookDelivery) bool) []store.WebhookDelivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		list, err := w.desk.Store.WebhookDeliveries(ctx, w.tenant, id, "", 0, 50)
		if err != nil {
			t.Fatalf("%v: %+v", err, list)
		}
		if want(list) {
			return list
		}
	}
}

var byTest = inbox.Actor{Kind: inbox.Operator, Name: "test"}

func TestWebhooksAreTold(t *testing.T) {
	t.Parallel()
	w, stop := toldWorld(t)
	r := newReceiver(t)
	w.fact(t, 1, "message") // before anybody wanted to know
	hook, secret, err := w.desk.AddWebhook(t.Context(), w.tenant, byTest, desk.NewWebhook{URL: r.URL, Types: []string{"message.received"}, Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if again, second, err := w.desk.AddWebhook(t.Context(), w.tenant, byTest, desk.NewWebhook{URL: r.URL, Types: []string{"message.received"}, Key: "k"}); err != nil || again.ID != hook.ID || second != "" {
		t.Errorf("repeated: %+v %q %v", again, second, err)
	}
	w.fact(t, 2, "chat")
	w.fact(t, 3, "message")
	c := r.next(t)
	var f events.Fact
	if err := json.Unmarshal([]byte(c.body), &f); err != nil || f.ID != 3 || f.Chat != 1 {
		t.Errorf("told %s, %v", c.body, err)
	}
	if sum := desk.Sign(c.header.Get("Webhook-Id"), c.header.Get("Webhook-Timestamp"), c.body, secret); c.header.Get("Webhook-Signature") != sum {
		t.Errorf("signature %q, want %q", c.header.Get("Webhook-Signature"), sum)
	}
	w.settled(t, hook.ID, func(l []store.WebhookDelivery) bool {
		return len(l) == 1 && l[0].State == "sent" && len(l[0].Tries) == 1
	})

	// Two signatures after a rotation, and the same id when told again.
	_, fresh, err := w.desk.RotateWebhook(t.Context(), w.tenant, byTest, hook.ID, "r")
	if err != nil || fresh == secret {
		t.Fatal(fresh, err)
	}
	if _, same, err := w.desk.RotateWebhook(t.Context(), w.tenant, byTest, hook.ID, "r"); err != nil || same != fresh {
		t.Errorf("the same rotation again: another secret %t, %v", same != fresh, err)
	}
	log := w.settled(t, hook.ID, func([]store.WebhookDelivery) bool { return true })
	if n, err := w.desk.Store.ReplayWebhook(t.Context(), w.tenant, byTest, hook.ID, log[0].ID, time.Time{}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	again := r.next(t)
	want := desk.Sign(again.header.Get("Webhook-Id"), again.header.Get("Webhook-Timestamp"), again.body, fresh, secret)
	if again.header.Get("Webhook-Id") != c.header.Get("Webhook-Id") || again.header.Get("Webhook-Signature") != want {
		t.Errorf("told again with %v", again.header)
	}
	if err := w.desk.TestWebhook(t.Context(), w.tenant, byTest, hook.ID); err != nil {
		t.Fatal(err)
	}
	if c := r.next(t); !strings.Contains(c.body, `"parley.webhook.test"`) {
		t.Errorf("test: %s", c.body)
	}
	// What happens while nobody tells is told later, once.
	w.settled(t, hook.ID, func(l []store.WebhookDelivery) bool { return l[0].State == "sent" })
	stop()
	w.fact(t, 4, "message")
	ctx, end := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { w.desk.RunWebhooks(ctx, "another") })
	defer func() { end(); done.Wait() }()
	if c := r.next(t); !strings.Contains(c.body, `"id":"4"`) {
		t.Errorf("after a break: %s", c.body)
	}
	w.settled(t, hook.ID, func(l []store.WebhookDelivery) bool { return len(l) == 3 && l[0].State == "sent" })
	select {
	case c := <-r.calls:
		t.Errorf("called once more: %s", c.body)
	default:
	}
	if _, err := w.desk.ChangeWebhook(t.Context(), w.tenant, byTest, hook.ID, store.WebhookChange{Types: &[]string{"Nonsense"}}); inbox.CodeOf(err) != inbox.Invalid {
		t.Errorf("types: %v", err)
	}
}

func TestWebhooksAreTriedAgainAndDisabled(t *testing.T) {
	t.Parallel()
	w, _ := toldWorld(t)
	r := newReceiver(t)
	hook, _, err := w.desk.AddWebhook(t.Context(), w.tenant, byTest, desk.NewWebhook{URL: r.URL})
	if err != nil {
		t.Fatal(err)
	}
	now := func() { // what would come to pass in hours
		t.Helper()
		storetest.Exec(t, w.url, "UPDATE parley_webhook_deliveries SET due_at = now() WHERE due_at IS NOT NULL")
	}
	for i, status := range []int{http.StatusInternalServerError, http.StatusFound, http.StatusTooManyRequests} {
		r.say(status)
		if i == 0 {
			w.fact(t, 1, "message")
		} else {
			now()
		}
		r.next(t)
		l := w.settled(t, hook.ID, func(l []store.WebhookDelivery) bool { return len(l) == 1 && l[0].Attempts == i+1 })
		if l[0].State != "queued" || l[0].Tries[0].Status != status || l[0].DueAt == nil || l[0].Tries[0].Error == "" {
			t.Errorf("after %d: %+v", status, l[0])
		}
		if wait := l[0].DueAt.Sub(l[0].Tries[0].At); wait < desk.WebhookWaits()[i]-time.Second {
			t.Errorf("after try %d it waits %v", i+1, wait)
		}
	}
	if ws, _ := w.desk.Store.Webhooks(t.Context(), w.tenant, "", 9); len(ws) != 1 || ws[0].FailingSince == nil || ws[0].DisabledAt != nil {
		t.Errorf("%+v", ws)
	}
	// Out of tries after days of nothing else.
	facts, err := w.desk.Stream(t.Context(), desk.StreamFrom{Tenant: w.tenant})
	if err != nil {
		t.Fatal(err)
	}
	defer facts.Close()
	storetest.Exec(t, w.url, "UPDATE parley_webhooks SET failing_since = now() - interval '3 days'")
	storetest.Exec(t, w.url, fmt.Sprintf("UPDATE parley_webhook_deliveries SET attempts = %d", len(desk.WebhookWaits())))
	now()
	r.next(t)
	w.settled(t, hook.ID, func(l []store.WebhookDelivery) bool { return l[0].State == "failed" })
	ws, err := w.desk.Store.Webhooks(t.Context(), w.tenant, "", 9)
	if err != nil || ws[0].DisabledAt == nil || ws[0].DisabledWhy == "" {
		t.Errorf("%+v, %v", ws, err)
	}
	if n := storetest.Int(t, w.url, "SELECT count(*) FROM parley_facts WHERE noun = 'webhook' AND verb = 'disabled'"); n != 1 {
		t.Errorf("%d facts tell of it", n)
	}
	if n := storetest.Int(t, w.url, "SELECT count(*) FROM parley_audit_log WHERE action = 'webhook.disable'"); n != 1 {
		t.Errorf("%d notes in the audit log", n)
	}
	if _, err := w.desk.Store.ReplayWebhook(t.Context(), w.tenant, byTest, hook.ID, 0, time.Time{}); inbox.CodeOf(err) != inbox.Conflict {
		t.Errorf("replay of a disabled one: %v", err)
	}
	// Enabled again, all that failed is told.
	r.say(http.StatusNoContent)
	if _, err := w.desk.ChangeWebhook(t.Context(), w.tenant, byTest, hook.ID, store.WebhookChange{Enabled: new(true)}); err != nil {
		t.Fatal(err)
	}
	if n, err := w.desk.Store.ReplayWebhook(t.Context(), w.tenant, byTest, hook.ID, 0, time.Now().Add(-time.Hour)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	r.next(t)
	w.settled(t, hook.ID, func(l []store.WebhookDelivery) bool { return l[0].State == "sent" })
	r.say(http.StatusGone)
	w.fact(t, 2, "message")
	r.next(t)
	w.settled(t, hook.ID, func(l []store.WebhookDelivery) bool { return l[0].State == "failed" })
	if ws, _ := w.desk.Store.Webhooks(t.Context(), w.tenant, "", 9); ws[0].DisabledAt == nil {
		t.Error("410 does not disable it")
	}
}

// The vectors are those of the scheme's own library.
func TestSignWebhook(t *testing.T) {
	t.Parallel()
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := desk.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"); got != want {
		t.Errorf("signed %q, want %q", got, want)
	}
}

func TestWebhooksStayOnThePublicInternet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, address := range []string{"http://example.com", "https://user:secret@example.com", "ftp://example.com", "https://", "x", "file:///etc/passwd"} {
		if _, _, err := w.desk.AddWebhook(t.Context(), w.tenant, byTest, desk.NewWebhook{URL: address}); inbox.CodeOf(err) != inbox.Invalid {
			t.Errorf("%s: %v", address, err)
		}
	}
	// A name that means an address of ours is refused when it is dialled.
	r := newReceiver(t)
	hook, _, err := w.desk.AddWebhook(t.Context(), w.tenant, byTest, desk.NewWebhook{URL: strings.Replace(r.URL, "http://127.0.0.1", "https://localhost", 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { w.desk.RunWebhooks(ctx, t.Name()) })
	defer func() { stop(); done.Wait() }()
	if err := w.desk.TestWebhook(t.Context(), w.tenant, byTest, hook.ID); err != nil {
		t.Fatal(err)
	}
	l := w.settled(t, hook.ID, func(l []store.WebhookDelivery) bool { return len(l) == 1 && len(l[0].Tries) == 1 })
	if !strings.Contains(l[0].Tries[0].Error, "not a public one") || strings.Contains(l[0].Tries[0].Error, "127.0.0.1") {
		t.Errorf("%+v", l[0].Tries[0])
	}
}
