package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/api"
	"parley/inbox/desk"
	"parley/inbox/media"
	"parley/store"
	"parley/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// world is the API on a Unix socket, before a real database and bus.
type world struct {
	t       *testing.T
	url     string
	db      *store.DB
	bus     *jetstream.Bus
	tenant  store.Tenant
	client  *http.Client
	stop    context.CancelFunc
	lease   *store.PartitionLease
	channel store.Channel
	replays func(id int64) (store.BatchResult, error)
	audit   api.Audit
}

// replayer is a quarantine whose replays a test scripts.
type replayer struct {
	*store.DB
	w *world
}

func (r replayer) Replay(_ context.Context, _ store.QuarantineScope, id int64) (store.BatchResult, error) {
	return r.w.replays(id)
}

func (r replayer) Preview(context.Context, store.QuarantineScope, int64) (store.ReplayPreview, error) {
	return store.ReplayPreview{Events: []store.PreviewedItem{{Outcome: store.Persisted, NewClient: true}}}, nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, url: storetest.NewDatabase(t), bus: natstest.Start(t)}
	var err error
	if w.db, err = store.Open(t.Context(), w.url, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.db.Close)
	if w.tenant, err = w.db.EnsureTenant(t.Context(), "Acme"); err != nil {
		t.Fatal(err)
	}
	keys, err := inbox.ParseKey(inbox.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := store.OpenBlobFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	files := media.NewLibrary(media.LibraryOptions{DB: w.db, Blobs: blobs, TempDir: t.TempDir(), MaxBytes: 1 << 20})
	d := &desk.Desk{Files: files, Store: w.db, Bus: w.bus, Keyring: keys, Adapters: map[events.Transport]desk.Adapter{
		events.Telegram: {
			Secrets: []string{"token"}, Mode: events.Polling,
			Validate: func(events.Channel, map[string]string) error { return nil },
			Check: func(_ context.Context, _ events.Channel, secrets map[string]string) (desk.Report, error) {
				if secrets["token"] == "wrong" {
					return desk.Report{}, fmt.Errorf("%w: 401", desk.ErrCredentials)
				}
				return desk.Report{Account: "@" + secrets["token"]}, nil
			},
		},
	}}
	var stopping context.Context
	stopping, w.stop = context.WithCancel(context.Background())
	t.Cleanup(w.stop)
	h := api.New(api.Options{
		Desk: d, Quarantine: replayer{w.db, w}, Audit: func(context.Context) (api.Audit, error) { return w.audit, nil },
		Status: func(context.Context) api.Status {
			return api.Status{Version: "1.2.3", Since: time.Unix(0, 0), Roles: []string{"api"}, Ready: true, Missing: []string{}}
		},
		Stop: stopping, Version: "1.2.3", URL: "https://inbox.example.com", Guard: access.NewGuard(access.GuardOptions{DB: w.db, Keyring: keys}),
	})
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	w.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	t.Cleanup(w.client.CloseIdleConnections)
	w.channel, err = d.ChannelAdd(t.Context(), desk.NewChannel{
		Tenant: w.tenant.ID, Transport: events.Telegram, Name: "Support", Secrets: map[string]string{"token": "bot"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.db.EnsurePartitions(t.Context(), func(context.Context) ([]store.PartitionStream, error) {
		return []store.PartitionStream{{Name: "TEST", Identity: "1", First: 1}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if w.lease, err = w.db.TakePartition(t.Context(), t.Name(), time.Hour); err != nil || w.lease == nil {
		t.Fatal("no partition to take: ", err)
	}
	return w
}

// says lets a client write.
func (w *world) says(who int, text string) {
	w.t.Helper()
	id := fmt.Sprint(who)
	seq := w.lease.LastSeq + 1
	ev := &events.Inbound{
		ID: events.EventID(uuid.Must(uuid.NewV7()).String()), Tenant: w.tenant.ID, Channel: w.channel.ID, Transport: events.Telegram,
		AcceptedAt: time.Now().UTC(), Kind: events.Message,
		Person:  events.Person{Identity: events.Identity{Kind: events.TelegramUser, Value: id}, Address: id, FirstName: "Client " + id},
		Key:     events.MessageKey{Chat: id, Message: fmt.Sprint(seq)},
		Content: &events.Content{Type: events.Text, Text: text}, Raw: json.RawMessage(`{}`),
	}
	res, err := w.db.StoreBatch(w.t.Context(), w.lease, []store.InboundRecord{{Seq: seq, Event: ev}})
	if err != nil || res.Count(store.Persisted) != 1 {
		w.t.Fatal(res, err)
	}
}

// do makes a request and decodes the answer, which must have the status.
func (w *world) do(method, path, body string, status int, out any, header ...string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://parley"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		w.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if res.StatusCode != status {
		w.t.Fatalf("%s %s: %s, want %d: %s", method, path, res.Status, status, data)
	}
	kind := "application/json"
	if status >= 400 {
		kind = "application/problem+json"
	}
	if got := res.Header.Get("Content-Type"); got != kind {
		w.t.Errorf("%s %s: content type %q", method, path, got)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(data, out); err != nil {
		w.t.Fatalf("%s %s: %v: %s", method, path, err, data)
	}
}

var errTest = errors.New("it broke")
