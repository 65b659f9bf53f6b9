package media_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/inbox/media"
	"parley/store"
	"parley/transports"
)

func TestFetch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hasBytes("pdf", "%PDF-1.7\nhello")
	w.hasBytes("html", "<!DOCTYPE html><html><script>alert(1)</script></html>")
	w.hasBytes("odd", "BEGIN:VCARD\nVERSION:3.0\nEND:VCARD\n")
	w.sends(w.channel, "1", nil)
	w.sends(w.channel, "1", nil,
		events.Attachment{Kind: events.Document, Ref: "pdf", Name: "../offer.pdf", MIME: "image/jpeg"},
		events.Attachment{Kind: events.Document, Ref: "html", Name: "page.txt", MIME: "text/plain", Role: events.HTMLBody},
		events.Attachment{Kind: events.Document, Ref: "odd"},
		events.Attachment{Kind: events.Document, Ref: "pdf", Name: "again.pdf"},
	)
	if n := w.count("SELECT count(*) FROM parley_media"); n != 4 {
		t.Fatalf("%d files are noted", n)
	}
	m := w.message()
	if len(m.Attachments) != 4 || m.Attachments[0].State != inbox.FilePending || m.Attachments[0].Upload != 0 {
		t.Fatalf("before, its files are %+v", m.Attachments)
	}
	w.fetch()
	w.settled()
	m = w.message()
	for i, want := range []struct{ name, mime, content string }{
		{"offer.pdf", "application/pdf", "%PDF-1.7\nhello"},
		{"page.txt", "text/html; charset=utf-8", "<!DOCTYPE html><html><script>alert(1)</script></html>"},
		{"", "text/vcard", "BEGIN:VCARD\nVERSION:3.0\nEND:VCARD\n"},
		{"again.pdf", "application/pdf", "%PDF-1.7\nhello"},
	} {
		a := m.Attachments[i]
		if a.State != inbox.FileStored || a.Name != want.name || a.MIME != want.mime || a.Size != int64(len(want.content)) || a.Position != i {
			t.Errorf("file %d is %+v, want %+v", i, a, want)
		}
		if got := w.content(a.Upload); got != want.content {
			t.Errorf("file %d holds %q", i, got)
		}
	}
	// The body is not something that somebody attached, for programs of the CRM.
	if n := w.count("SELECT count(*) FROM crm_chat_message_attachments"); n != 3 {
		t.Errorf("%d attachments", n)
	}
	facts := w.Strings("SELECT data->>'position' FROM parley_facts WHERE noun = 'attachment' AND verb = 'stored' AND chat_id > 0 ORDER BY 1")
	if !slices.Equal(facts, []string{"0", "1", "2", "3"}) {
		t.Errorf("facts are %v", facts)
	}
	// The same bytes are kept once, unless two came at the same moment.
	if n := len(w.keys()); n < 3 || n > 4 {
		t.Errorf("%d blobs", n)
	}
}

func TestFetchKeepsTheSameBytesOnceForEachTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.opts.Concurrency = 1
	w.hasBytes("one", "the same")
	w.hasBytes("two", "the same")
	other, err := w.DB.CreateTenant(t.Context(), "Other")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := w.DB.CreateChannel(t.Context(), events.Channel{
		ID: "44444444-4444-4444-8444-444444444444", Tenant: other.ID, Transport: events.Telegram, Name: "Theirs",
		Mode: events.Polling, WebhookPath: strings.Repeat("y", 40),
	}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	w.sends(w.channel, "1", nil, events.Attachment{Kind: events.Document, Ref: "one"}, events.Attachment{Kind: events.Document, Ref: "two"})
	w.sends(theirs.Channel, "1", nil, events.Attachment{Kind: events.Document, Ref: "one"})
	w.fetch()
	w.settled()
	keys := w.keys()
	if len(keys) != 2 || !strings.Contains(strings.Join(keys, " "), string(w.Tenant)) || !strings.Contains(strings.Join(keys, " "), string(other.ID)) {
		t.Errorf("blobs are %v", keys)
	}
	if n := w.count("SELECT count(*) FROM core_uploads"); n != 3 {
		t.Errorf("%d uploads", n)
	}
	var id int64
	w.Row("SELECT id FROM core_uploads WHERE tenant_id = $1", []any{string(other.ID)}, &id)
	if _, err := w.lib.Open(t.Context(), w.Tenant, id, false); inbox.CodeOf(err) != inbox.NotFound {
		t.Errorf("another tenant's file opens: %v", err)
	}
}

// TestFetchFailures is what becomes of a file that the provider does not hand
// out, or not at once.
func TestFetchFailures(t *testing.T) {
	t.Parallel()
	times := func(n int, err error, then string) func(context.Context) (transports.Media, error) {
		return func(context.Context) (transports.Media, error) {
			if n--; n >= 0 {
				return transports.Media{}, err
			}
			return of(then), nil
		}
	}
	hangs := func(ctx context.Context) (transports.Media, error) {
		<-ctx.Done()
		return transports.Media{}, ctx.Err()
	}
	stalled := 0
	for _, test := range []struct {
		name  string
		file  events.Attachment
		open  func(context.Context) (transports.Media, error)
		state inbox.FileState
		code  string
		words string
	}{
		{"gone", events.Attachment{}, func(context.Context) (transports.Media, error) { return transports.Media{}, transports.ErrMediaGone }, inbox.FileFailed, "gone", "no longer has"},
		{"too large for the provider", events.Attachment{Size: 25 << 20}, func(context.Context) (transports.Media, error) {
			return transports.Media{}, transports.ErrMediaTooLarge
		}, inbox.FileFailed, "too_large", "25 MB"},
		{"too large, it says", events.Attachment{}, func(context.Context) (transports.Media, error) {
			return transports.Media{ReadCloser: io.NopCloser(strings.NewReader("x")), Size: 2 << 20}, nil
		}, inbox.FileFailed, "too_large", "up to 1 MB"},
		{"endless", events.Attachment{}, func(context.Context) (transports.Media, error) {
			return transports.Media{ReadCloser: io.NopCloser(endless{}), Size: -1}, nil
		}, inbox.FileFailed, "too_large", "up to 1 MB"},
		{"cannot be fetched", events.Attachment{}, func(context.Context) (transports.Media, error) {
			return transports.Media{}, fmt.Errorf("%w: pigeon", media.ErrCannotFetch)
		}, inbox.FileFailed, "unsupported", "cannot fetch"},
		{"in a payload that is gone", events.Attachment{InRaw: true}, nil, inbox.FileFailed, "gone", "no longer kept"},
		{"not found at first", events.Attachment{}, times(3, errors.New("404 Not Found"), "here"), inbox.FileStored, "", ""},
		{"throttled", events.Attachment{}, times(1, &transports.RetryAfterError{After: time.Millisecond, Err: errBroke}, "here"), inbox.FileStored, "", ""},
		{"a bug", events.Attachment{}, func() func(context.Context) (transports.Media, error) {
			first := true
			return func(context.Context) (transports.Media, error) {
				if first {
					first = false
					panic("boom")
				}
				return of("here"), nil
			}
		}(), inbox.FileStored, "", ""},
		{"cut short", events.Attachment{}, func() func(context.Context) (transports.Media, error) {
			n := 0
			return func(context.Context) (transports.Media, error) {
				if n++; n == 1 {
					return transports.Media{ReadCloser: io.NopCloser(strings.NewReader("he")), Size: 4}, nil
				}
				return of("here"), nil
			}
		}(), inbox.FileStored, "", ""},
		{"hangs before the first byte", events.Attachment{}, func(ctx context.Context) (transports.Media, error) {
			if stalled++; stalled == 1 {
				return hangs(ctx)
			}
			return of("here"), nil
		}, inbox.FileStored, "", ""},
		{"hangs on the way", events.Attachment{}, func() func(context.Context) (transports.Media, error) {
			n := 0
			return func(ctx context.Context) (transports.Media, error) {
				if n++; n == 1 {
					r, _ := io.Pipe() // nobody writes, and it knows no context
					return transports.Media{ReadCloser: struct {
						io.Reader
						io.Closer
					}{io.MultiReader(strings.NewReader("he"), r), r}, Size: -1}, nil
				}
				return of("here"), nil
			}
		}(), inbox.FileStored, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.opts.Stall = 50 * time.Millisecond
			test.file.Kind, test.file.Ref = events.Document, "it"
			if test.open != nil {
				w.has("it", test.open)
			}
			w.sends(w.channel, "1", nil, test.file)
			w.fetch()
			w.settled()
			a := w.message().Attachments[0]
			if a.State != test.state || a.Code != test.code || !strings.Contains(a.Words, test.words) {
				t.Errorf("it is %+v", a)
			}
			verb := string(test.state)
			if n := w.count("SELECT count(*) FROM parley_facts WHERE noun = 'attachment' AND verb = $1", verb); n != 1 {
				t.Errorf("%d facts say %s", n, verb)
			}
			if test.state == inbox.FileStored && w.content(a.Upload) != "here" {
				t.Errorf("it holds %q", w.content(a.Upload))
			}
			if n := len(w.keys()); test.state == inbox.FileFailed && n != 0 {
				t.Errorf("%d blobs", n)
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A file that never comes is given up after a while, and can be asked for again.
func TestGiveUpAndRefetch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.opts.GiveUp = 50 * time.Millisecond
	w.has("it", func(context.Context) (transports.Media, error) { return transports.Media{}, errBroke })
	w.sends(w.channel, "1", nil, events.Attachment{Kind: events.Document, Ref: "it"})
	w.fetch()
	w.settled()
	m := w.message()
	if a := m.Attachments[0]; a.State != inbox.FileFailed || a.Code != "unavailable" || !strings.Contains(a.Words, "Given up after") {
		t.Fatalf("it is %+v", a)
	}
	w.hasBytes("it", "here")
	if n, err := w.DB.RefetchMedia(t.Context(), w.Tenant, m.ID); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	w.settled()
	if a := w.message().Attachments[0]; a.State != inbox.FileStored {
		t.Errorf("it is %+v", a)
	}
	if n, err := w.DB.RefetchMedia(t.Context(), w.Tenant, m.ID); n != 0 || err != nil {
		t.Errorf("what is stored is fetched again: %d, %v", n, err)
	}
	other, err := w.DB.CreateTenant(t.Context(), "Other")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.DB.RefetchMedia(t.Context(), other.ID, m.ID); inbox.CodeOf(err) != inbox.NotFound {
		t.Errorf("another tenant's message: %v", err)
	}
}

// crashing is a blob store after whose first Put the process dies: another one
// makes the try again meanwhile.
type crashing struct {
	store.Blobs
	w     *world
	after bool
}

func (c *crashing) Put(ctx context.Context, key string, r io.Reader) error {
	err := c.Blobs.Put(ctx, key, r)
	if !c.after {
		c.after = true
		// As ClaimMedia would once the lease has run out.
		c.w.Exec("UPDATE parley_media SET attempts = attempts + 1, due_at = now() + interval '50 ms'")
	}
	return err
}

func TestCrashBetweenBlobAndRow(t *testing.T) {
	t.Parallel()
	var blobs *crashing
	w := newWorld(t, func(o *media.LibraryOptions) {
		blobs = &crashing{Blobs: o.Blobs}
		o.Blobs = blobs
	})
	blobs.w = w
	w.hasBytes("it", "here")
	w.sends(w.channel, "1", nil, events.Attachment{Kind: events.Document, Ref: "it"})
	stop := w.fetch()
	w.settled()
	stop()
	a := w.message().Attachments[0]
	if a.State != inbox.FileStored || w.content(a.Upload) != "here" {
		t.Fatalf("it is %+v", a)
	}
	if n, rows := len(w.keys()), w.count("SELECT count(*) FROM core_uploads"); n != 2 || rows != 1 {
		t.Fatalf("%d blobs, %d rows", n, rows)
	}
	if n, err := w.DB.SweepBlobs(t.Context(), w.blobs, store.MediaPrefix, time.Hour); n != 0 || err != nil {
		t.Errorf("swept %d that may have a row soon, %v", n, err)
	}
	if n, err := w.DB.SweepBlobs(t.Context(), w.blobs, store.MediaPrefix, 0); n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if got := w.content(a.Upload); got != "here" {
		t.Errorf("after the sweep it holds %q", got)
	}
}

// A process that is asked to stop gives its tries back at once.
func TestStopGivesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	open := make(chan struct{})
	w.has("it", func(ctx context.Context) (transports.Media, error) {
		close(open)
		<-ctx.Done()
		return transports.Media{}, ctx.Err()
	})
	w.sends(w.channel, "1", nil, events.Attachment{Kind: events.Document, Ref: "it"})
	stop := w.fetch()
	<-open
	stop()
	if n := w.count("SELECT count(*) FROM parley_media WHERE state = 'pending' AND due_at <= now()"); n != 1 {
		t.Errorf("%d files are due", n)
	}
	w.hasBytes("it", "here")
	w.fetch()
	w.settled()
}

// A provider that hangs delays the files of others by nothing.
func TestSlowChannelDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.opts.Concurrency = 4
	release := make(chan struct{})
	slow := w.Channel(events.Telegram)
	w.has("slow", func(ctx context.Context) (transports.Media, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return of("slow"), ctx.Err()
	})
	w.hasBytes("fast", "fast")
	files := slices.Repeat([]events.Attachment{{Kind: events.Document, Ref: "slow"}}, 20)
	w.sends(slow, "1", nil, files...)
	w.fetch()
	w.Until("the slow channel has its share", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.asked["slow"] == 2
	})
	w.sends(w.channel, "2", nil, slices.Repeat([]events.Attachment{{Kind: events.Document, Ref: "fast"}}, 20)...)
	w.Until("the others are there", func() bool { return w.count("SELECT count(*) FROM parley_media WHERE state = 'stored'") == 20 })
	w.mu.Lock()
	if n := w.asked["slow"]; n != 2 {
		t.Errorf("%d of the slow channel were under way", n)
	}
	w.mu.Unlock()
	close(release)
	w.settled()
}

// Files that came within the payload: from the bus, from a blob, and from a
// replay.
func TestFetchFromPayload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	read := 0
	w.opts.Payload = func(_ context.Context, j *store.MediaJob) (json.RawMessage, error) {
		read++
		if j.Event == "" || j.StreamSeq == 0 {
			return nil, errBroke
		}
		return json.RawMessage(`"on the bus"`), nil
	}
	if err := w.blobs.Put(t.Context(), "raw/x", strings.NewReader(`"in a blob"`)); err != nil {
		t.Fatal(err)
	}
	parts := []events.Attachment{
		{Kind: events.Document, Ref: "/1", InRaw: true}, {Kind: events.Document, Ref: "/2", InRaw: true}, {Kind: events.Document, Ref: "/3", InRaw: true, Role: events.RawMail},
	}
	w.sends(w.channel, "1", nil, parts...)
	w.sends(w.channel, "2", func(ev *events.Inbound) { ev.Raw, ev.RawRef = nil, "raw/x" }, parts[:1]...)
	w.fetch()
	w.settled()
	var got []string
	for _, id := range w.Strings("SELECT upload_id::text FROM parley_media ORDER BY message_id, position") {
		var n int64
		if _, err := fmt.Sscan(id, &n); err != nil {
			t.Fatal(err)
		}
		got = append(got, w.content(n))
	}
	want := []string{`"on the bus"/1`, `"on the bus"/2`, `"on the bus"/3`, `"in a blob"/1`}
	if !slices.Equal(got, want) {
		t.Errorf("they hold %q, want %q", got, want)
	}
	if read != 1 {
		t.Errorf("the payload was read %d times for one message", read)
	}
	// The payload in the blob has a message that names it.
	if n, err := w.DB.SweepBlobs(t.Context(), w.blobs, "raw/", 0); n != 0 || err != nil {
		t.Errorf("swept %d payloads, %v", n, err)
	}
}

// An edit that replaces a file has the new one fetched, and only that.
func TestEditReplacesFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hasBytes("one", "one")
	w.hasBytes("two", "two")
	w.hasBytes("three", "three")
	w.sends(w.channel, "1", nil,
		events.Attachment{Kind: events.Document, Ref: "one", UniqueRef: "u1"}, events.Attachment{Kind: events.Document, Ref: "two", UniqueRef: "u2"})
	w.fetch()
	w.settled()
	before := w.message().Attachments
	edit := func(files ...events.Attachment) {
		t.Helper()
		key := fmt.Sprint(w.lease.LastSeq)
		w.sends(w.channel, "1", func(ev *events.Inbound) {
			ev.Kind, ev.Key.Message, ev.ProviderEvent = events.Edit, "1", key
			ev.Content = &events.Content{Type: events.Document, Text: "edited", Attachments: files}
		})
		w.settled()
	}
	// Another caption: the provider names the same bytes differently.
	edit(events.Attachment{Kind: events.Document, Ref: "one-again", UniqueRef: "u1"}, events.Attachment{Kind: events.Document, Ref: "two-again", UniqueRef: "u2"})
	after := w.message()
	if after.Text != "edited" || len(after.Attachments) != 2 || after.Attachments[0].Upload != before[0].Upload || after.Attachments[1].Upload != before[1].Upload {
		t.Errorf("after an edit of the text the files are %+v, before %+v", after.Attachments, before)
	}
	edit(events.Attachment{Kind: events.Document, Ref: "one", UniqueRef: "u1"}, events.Attachment{Kind: events.Document, Ref: "three", UniqueRef: "u3"})
	after = w.message()
	if len(after.Attachments) != 2 || after.Attachments[0].Upload != before[0].Upload || w.content(after.Attachments[1].Upload) != "three" {
		t.Errorf("after the other file the files are %+v", after.Attachments)
	}
	if n := w.count("SELECT count(*) FROM crm_chat_message_attachments"); n != 2 {
		t.Errorf("%d attachments", n)
	}
	edit()
	if after = w.message(); len(after.Attachments) != 0 || w.count("SELECT count(*) FROM parley_media") != 0 {
		t.Errorf("after their removal the files are %+v", after.Attachments)
	}
	if w.asked["two-again"]+w.asked["one-again"] != 0 || w.asked["one"] != 1 {
		t.Errorf("the provider was asked for %v", w.asked)
	}
}

// Eight large files at once pass through without being held in memory.
func TestLargeFilesAreStreamed(t *testing.T) {
	w := newWorld(t, func(o *media.LibraryOptions) { o.MaxBytes = 64 << 20 })
	w.opts.Concurrency = 16 // eight for one channel
	const size, files = 20 << 20, 8
	arrived, all := make(chan struct{}, files), make(chan struct{})
	for i := range files {
		w.has(fmt.Sprint(i), func(context.Context) (transports.Media, error) {
			arrived <- struct{}{}
			<-all
			return transports.Media{ReadCloser: io.NopCloser(io.LimitReader(&counting{n: byte(i)}, size)), Size: size}, nil
		})
		w.sends(w.channel, fmt.Sprint(i), nil, events.Attachment{Kind: events.Video, Ref: fmt.Sprint(i), Size: size})
	}
	w.fetch()
	for range files {
		<-arrived
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	close(all)
	w.settled()
	runtime.ReadMemStats(&after)
	took := after.TotalAlloc - before.TotalAlloc
	t.Logf("allocated %d kB in all for %d MB", took>>10, files*size>>20)
	if took > size {
		t.Errorf("allocated %d bytes, more than one file of %d has", took, size)
	}
}

// counting yields bytes that differ from file to file.
type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	clear(p)
	p[0] = c.n
	return len(p), nil
}
