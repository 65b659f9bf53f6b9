package router_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
	"parley/inbox"
	"parley/inbox/router"
	"parley/store"
	"parley/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// patience bounds waits that only a defect makes long.
const patience = 60 * time.Second

// world is a bus, a database and a business with one channel.
type world struct {
	t       testing.TB
	ctx     context.Context
	bus     *jetstream.Bus
	db      *store.DB
	url     string
	tenant  events.TenantID
	channel events.ChannelID
}

func setup(t testing.TB, adjust ...func(*jetstream.Options)) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, url: storetest.NewDatabase(t), bus: natstest.Start(t, adjust...)}
	w.db = w.open()
	w.tenant, w.channel = w.business("Bakery")
	return w
}

func (w *world) open() *store.DB {
	w.t.Helper()
	db, err := store.Open(w.ctx, w.url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(db.Close)
	return db
}

func (w *world) business(name string) (events.TenantID, events.ChannelID) {
	w.t.Helper()
	tenant, err := w.db.CreateTenant(w.ctx, name)
	if err != nil {
		w.t.Fatal(err)
	}
	ch, err := w.db.CreateChannel(w.ctx, events.Channel{
		ID: events.ChannelID(uuid.NewString()), Tenant: tenant.ID, Transport: events.Telegram,
		Name: name, Mode: events.Webhook, WebhookPath: strings.Repeat("x", 20) + uuid.NewString(),
	}, "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	return tenant.ID, ch.ID
}

// route runs a router until the test ends or stop is called.
func (w *world) route(adjust ...func(*router.Options)) (r *router.Router, stop func()) {
	w.t.Helper()
	o := router.Options{
		Store: w.db, Bus: w.bus, Owner: uuid.NewString(), LeaseTTL: 2 * time.Second,
		Registerer: prometheus.NewRegistry(),
	}
	for _, a := range adjust {
		a(&o)
	}
	r = router.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var stopped bool
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("router: %v", err)
		}
	}
	w.t.Cleanup(stop)
	return r, stop
}

// text is a message of the client with that number.
func (w *world) text(client, message int, text string) events.Inbound {
	user := fmt.Sprint(client)
	return events.Inbound{
		ID: store.NewEventID(), Tenant: w.tenant, Channel: w.channel, Transport: events.Telegram,
		AcceptedAt: time.Now().UTC(), ProviderTime: time.Now().UTC().Truncate(time.Second),
		Kind: events.Message,
		Person: events.Person{
			Identity: events.Identity{Kind: events.TelegramUser, Value: user}, Address: user, FirstName: "Client " + user,
		},
		Key:           events.MessageKey{Chat: user, Message: fmt.Sprint(message)},
		ProviderEvent: fmt.Sprintf("%d-%d", client, message),
		Content:       &events.Content{Type: events.Text, Text: text},
		Raw:           []byte(`{"update_id":1}`),
	}
}

func (w *world) publish(evs ...events.Inbound) {
	w.t.Helper()
	if err := w.bus.Publish(w.ctx, evs...); err != nil {
		w.t.Fatal(err)
	}
}

// drained waits until everything published is behind the checkpoints.
func (w *world) drained() []store.Partition {
	w.t.Helper()
	for {
		streams, err := w.bus.Streams(w.ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		// A database that was restarted refuses the connections it had before.
		parts, err := w.db.Partitions(w.ctx)
		behind := err != nil || len(parts) != len(streams)
		for i := range parts {
			behind = behind || uint64(parts[i].LastSeq) < streams[i].LastSeq
		}
		if !behind {
			return parts
		}
		select {
		case <-w.ctx.Done():
			w.t.Fatalf("still behind after %s: %+v, %v", patience, parts, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// totals adds up the partitions' counters.
func totals(parts []store.Partition) (t store.Partition) {
	for _, p := range parts {
		t.Frames += p.Frames
		t.Events += p.Events
		t.Persisted += p.Persisted
		t.Duplicate += p.Duplicate
		t.Ignored += p.Ignored
		t.Quarantined += p.Quarantined
		t.LastSeq += p.LastSeq
		t.Base += p.Base
	}
	return t
}

func (w *world) chats(tenant events.TenantID) []inbox.Chat {
	w.t.Helper()
	list, _, err := w.db.Chats(w.ctx, tenant, store.ChatPage{Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func (w *world) messages(tenant events.TenantID, chat int64) []inbox.Message {
	w.t.Helper()
	list, _, err := w.db.Messages(w.ctx, tenant, chat, store.MessagePage{Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// audit fails the test unless the audit is clean.
func (w *world) audit() router.AuditReport {
	w.t.Helper()
	report, err := router.Audit(w.ctx, w.db, w.bus)
	if err != nil {
		w.t.Fatal(err)
	}
	if !report.Clean {
		w.t.Errorf("audit: %q", report.Findings)
	}
	return report
}

// secondChannel connects another account of the same business.
func (w *world) secondChannel() events.ChannelID {
	w.t.Helper()
	ch, err := w.db.CreateChannel(w.ctx, events.Channel{
		ID: events.ChannelID(uuid.NewString()), Tenant: w.tenant, Transport: events.Telegram,
		Name: "Second", Mode: events.Webhook, WebhookPath: strings.Repeat("y", 20) + uuid.NewString(),
	}, "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	return ch.ID
}

// longAddress is longer than the columns that hold a contact.
func longAddress() string { return strings.Repeat("a", 300) + "@example.com" }

func withReparse(f func(*events.Inbound) []events.Inbound) func(*router.Options) {
	return func(o *router.Options) {
		o.Reparse = func(_ context.Context, ev *events.Inbound) ([]events.Inbound, error) { return f(ev), nil }
	}
}
