package media_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/inbox"
	"parley/inbox/media"
	"parley/store"
	"parley/store/outboundtest"
	"parley/store/storetest"
	"parley/transports"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// world is a business whose clients send files.
type world struct {
	*outboundtest.World
	channel events.Channel
	blobs   store.Blobs
	dir     string
	lib     *media.Library
	opts    media.Options
	lease   *store.PartitionLease

	mu sync.Mutex
	// files are what the provider hands out, by ref; unset refs are gone.
	files map[string]func(ctx context.Context) (transports.Media, error)
	// asked counts openings.
	asked map[string]int
}

func newWorld(t testing.TB, adjust ...func(*media.LibraryOptions)) *world {
	t.Helper()
	w := &world{World: outboundtest.New(t), dir: t.TempDir(), files: map[string]func(context.Context) (transports.Media, error){}, asked: map[string]int{}}
	w.channel = w.Channel(events.Telegram)
	var err error
	if w.blobs, err = store.OpenBlobFolder(w.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.blobs.Close() })
	o := media.LibraryOptions{DB: w.DB, Blobs: w.blobs, TempDir: t.TempDir(), MaxBytes: 1 << 20}
	for _, a := range adjust {
		a(&o)
	}
	w.lib = media.NewLibrary(o)
	w.opts = media.Options{
		DB: w.DB, Library: w.lib, Open: w.open, Owner: uuid.NewString(), Registerer: prometheus.NewRegistry(),
		PollEvery: 5 * time.Millisecond, RetryFirst: 5 * time.Millisecond, RetryMost: 20 * time.Millisecond,
	}
	if err := w.DB.EnsurePartitions(t.Context(), func(context.Context) ([]store.PartitionStream, error) {
		return []store.PartitionStream{{Name: "TEST", Identity: "1", First: 1}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if w.lease, err = w.DB.TakePartition(t.Context(), t.Name(), time.Hour); err != nil || w.lease == nil {
		t.Fatal("no partition to take: ", err)
	}
	return w
}

// open is the provider.
func (w *world) open(ctx context.Context, _ events.Channel, a events.Attachment, raw json.RawMessage) (transports.Media, error) {
	w.mu.Lock()
	w.asked[a.Ref]++
	f := w.files[a.Ref]
	w.mu.Unlock()
	switch {
	case a.InRaw:
		return transports.Media{ReadCloser: io.NopCloser(strings.NewReader(string(raw) + a.Ref)), Size: -1}, nil
	case f == nil:
		return transports.Media{}, transports.ErrMediaGone
	}
	return f(ctx)
}

func (w *world) has(ref string, f func(ctx context.Context) (transports.Media, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files[ref] = f
}

// hasBytes makes the provider hand out content.
func (w *world) hasBytes(ref, content string) {
	w.has(ref, func(context.Context) (transports.Media, error) { return of(content), nil })
}

func of(content string) transports.Media {
	return transports.Media{ReadCloser: io.NopCloser(strings.NewReader(content)), Size: int64(len(content))}
}

// sends stores a message of a client with files.
func (w *world) sends(ch events.Channel, who string, change func(*events.Inbound), files ...events.Attachment) {
	w.T.Helper()
	seq := w.lease.LastSeq + 1
	ev := &events.Inbound{
		ID: store.NewEventID(), Tenant: ch.Tenant, Channel: ch.ID, Transport: ch.Transport, AcceptedAt: time.Now().UTC(), Kind: events.Message,
		Person:  events.Person{Identity: events.Identity{Kind: events.TelegramUser, Value: who}, Address: who, FirstName: "Client " + who},
		Key:     events.MessageKey{Chat: who, Message: fmt.Sprint(seq)},
		Content: &events.Content{Type: events.Document, Attachments: files}, Raw: json.RawMessage(`{}`),
	}
	if change != nil {
		change(ev)
	}
	res, err := w.DB.StoreBatch(w.T.Context(), w.lease, []store.InboundRecord{{Seq: seq, Event: ev}})
	if err != nil || res.Count(store.Persisted) != 1 {
		w.T.Fatal(res, err)
	}
}

// fetch runs a fetcher until stop is called or the test ends.
func (w *world) fetch() (stop func()) {
	w.T.Helper()
	o := w.opts
	o.Registerer = prometheus.NewRegistry()
	f, err := media.New(o)
	if err != nil {
		w.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	w.T.Cleanup(stop)
	return stop
}

// count is the answer to a SELECT count.
func (w *world) count(sql string, args ...any) (n int) {
	w.T.Helper()
	w.Row(sql, args, &n)
	return n
}

// settled waits until nothing is pending.
func (w *world) settled() {
	w.T.Helper()
	w.Until("every file is settled", func() bool { return w.count("SELECT count(*) FROM parley_media WHERE state = 'pending'") == 0 })
}

// message is the newest one.
func (w *world) message() inbox.Message {
	w.T.Helper()
	var id int64
	w.Row("SELECT max(id) FROM crm_chat_messages", nil, &id)
	m, err := w.DB.Message(w.T.Context(), w.Tenant, id)
	if err != nil {
		w.T.Fatal(err)
	}
	return m
}

// keys are those of the blobs there are.
func (w *world) keys() (keys []string) {
	w.T.Helper()
	if err := w.blobs.List(w.T.Context(), "", func(i store.BlobInfo) error {
		keys = append(keys, i.Key)
		return nil
	}); err != nil {
		w.T.Fatal(err)
	}
	return keys
}

// content reads an upload.
func (w *world) content(upload int64) string {
	w.T.Helper()
	f, err := w.lib.Open(w.T.Context(), w.Tenant, upload, false)
	if err != nil {
		w.T.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	got, err := io.ReadAll(f)
	if err != nil {
		w.T.Fatal(err)
	}
	return string(got)
}

var errBroke = errors.New("connection reset by peer")
