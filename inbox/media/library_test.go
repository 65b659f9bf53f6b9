package media_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/inbox/media"
)

func aPNG(t testing.TB, w, h int) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestUpload(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	w := newWorld(t, func(o *media.LibraryOptions) { o.TempDir = temp })
	picture := aPNG(t, 1000, 500)
	u, err := w.lib.Upload(t.Context(), w.Tenant, "", `C:\me\Foto 1.png`, "text/html", strings.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	if u.ID == 0 || u.Name != "Foto 1.png" || u.MIME != "image/png" || u.Size != int64(len(picture)) || u.Width != 1000 || u.Height != 500 || !u.Thumbnail {
		t.Errorf("it is %+v", u)
	}
	small, err := w.lib.Open(t.Context(), w.Tenant, u.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = small.Close() }()
	if img, err := jpeg.Decode(small); err != nil || img.Bounds().Dx() != 320 || small.MIME != "image/jpeg" {
		t.Errorf("its small picture is %v, %v", img, err)
	}
	// The same again shares both blobs.
	again, err := w.lib.Upload(t.Context(), w.Tenant, "", "other.png", "", strings.NewReader(picture))
	if err != nil || again.ID == u.ID || again.BlobKey != u.BlobKey || !again.Thumbnail || again.Name != "other.png" || len(w.keys()) != 2 {
		t.Errorf("again it is %+v, %v; blobs %v", again, err, w.keys())
	}

	huge := &measured{}
	for name, r := range map[string]io.Reader{"larger than": huge, "is empty": strings.NewReader("")} {
		if _, err := w.lib.Upload(t.Context(), w.Tenant, "", "x", "", r); inbox.CodeOf(err) != inbox.Invalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if huge.n > 2<<20 {
		t.Errorf("%d bytes of a huge file were read", huge.n)
	}
	if _, err := w.lib.Upload(t.Context(), w.Tenant, "", "x", "", io.MultiReader(strings.NewReader("half"), brokenReader{})); err == nil {
		t.Error("a broken upload was kept")
	}
	if len(w.keys()) != 2 {
		t.Errorf("blobs are %v", w.keys())
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
	if _, err := w.lib.Open(t.Context(), w.Tenant, 999, false); inbox.CodeOf(err) != inbox.NotFound {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := w.blobs.Delete(t.Context(), u.BlobKey); err != nil {
		t.Fatal(err)
	}
	if _, err := w.lib.Open(t.Context(), w.Tenant, u.ID, false); inbox.CodeOf(err) != inbox.NotFound {
		t.Errorf("a file without its bytes: %v", err)
	}
}

// measured never ends and counts.
type measured struct{ n int }

func (m *measured) Read(p []byte) (int, error) {
	m.n += len(p)
	return len(p), nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroke }

func TestServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, test := range []struct {
		name, content     string
		inline            bool
		kind, disposition string
	}{
		{"a.png", aPNG(t, 10, 10), true, "image/png", "inline; filename=a.png"},
		{"a.png", aPNG(t, 10, 10), false, "image/png", "attachment; filename=a.png"},
		{"page.html", "<!DOCTYPE html><script>alert(1)</script>", true, "application/octet-stream", "attachment; filename=page.html"},
		{"p.svg", `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`, true, "application/octet-stream", "attachment; filename=p.svg"},
		{"Müller \"x\"\r\n.txt", "hello", true, "text/plain; charset=utf-8", "inline; filename*=utf-8''M%C3%BCller%20_x_.txt"},
		{"", "%PDF-1.4", false, "application/pdf", "attachment; filename=file.pdf"},
	} {
		u, err := w.lib.Upload(t.Context(), w.Tenant, "", test.name, "", strings.NewReader(test.content))
		if err != nil {
			t.Fatal(err)
		}
		serve := func(method, header, value string) *httptest.ResponseRecorder {
			t.Helper()
			f, err := w.lib.Open(t.Context(), w.Tenant, u.ID, false)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			r := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
			if header != "" {
				r.Header.Set(header, value)
			}
			rec := httptest.NewRecorder()
			media.Serve(rec, r, f, test.inline)
			return rec
		}
		whole := serve(http.MethodGet, "", "")
		h := whole.Header()
		if whole.Code != 200 || whole.Body.String() != test.content || h.Get("Content-Type") != test.kind || h.Get("Content-Disposition") != test.disposition {
			t.Errorf("%q: %d, %v", test.name, whole.Code, h)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || !strings.HasPrefix(h.Get("Cache-Control"), "private") {
			t.Errorf("%q: %v", test.name, h)
		}
		if part := serve(http.MethodGet, "Range", "bytes=1-3"); part.Code != 206 || part.Body.String() != test.content[1:4] {
			t.Errorf("%q: a range is %d %q", test.name, part.Code, part.Body)
		}
		if head := serve(http.MethodHead, "", ""); head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Type") != test.kind {
			t.Errorf("%q: head is %d", test.name, head.Code)
		}
		if cached := serve(http.MethodGet, "If-None-Match", h.Get("ETag")); h.Get("ETag") == "" || cached.Code != 304 {
			t.Errorf("%q: with its tag %s it is %d", test.name, h.Get("ETag"), cached.Code)
		}
	}
}

// What is no picture gets the provider's small one, if it has a good one.
func TestProvidersPreview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for ref, content := range map[string]string{
		"video": "\x00\x00\x00\x18ftypmp42 one", "other": "\x00\x00\x00\x18ftypmp42 two", "third": "\x00\x00\x00\x18ftypmp42 three",
		"small": aPNG(t, 90, 60), "odd": "no picture",
	} {
		w.hasBytes(ref, content)
	}
	w.sends(w.channel, "1", nil,
		events.Attachment{Kind: events.Video, Ref: "video", Preview: "small"},
		events.Attachment{Kind: events.Video, Ref: "other", Preview: "odd"},
		events.Attachment{Kind: events.Video, Ref: "third", Preview: "gone"},
	)
	w.fetch()
	w.settled()
	files := w.message().Attachments
	for i, want := range []bool{true, false, false} {
		if files[i].State != inbox.FileStored || files[i].Thumbnail != want {
			t.Errorf("file %d is %+v", i, files[i])
		}
	}
	f, err := w.lib.Open(t.Context(), w.Tenant, files[0].Upload, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if img, err := jpeg.Decode(f); err != nil || img.Bounds().Dx() != 90 {
		t.Errorf("the small picture is %v, %v", img, err)
	}
}

// What no message has goes, after a while and not before; what is others' stays.
func TestSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.opts.Concurrency = 1
	w.hasBytes("erased", aPNG(t, 400, 400))
	w.hasBytes("kept", "kept")
	w.sends(w.channel, "1", func(ev *events.Inbound) { ev.Raw, ev.RawRef = nil, "raw/erased" }, events.Attachment{Kind: events.Photo, Ref: "erased"})
	w.sends(w.channel, "2", nil, events.Attachment{Kind: events.Document, Ref: "kept"}, events.Attachment{Kind: events.Document, Ref: "kept", Role: events.RawMail})
	for _, key := range []string{"raw/erased", "raw/ignored", "raw/quarantined"} {
		if err := w.blobs.Put(t.Context(), key, strings.NewReader("{}")); err != nil {
			t.Fatal(err)
		}
	}
	w.Exec(`INSERT INTO parley_ignored (tenant_id, stream_partition, stream_seq, channel_id, event_id, reason, accepted_at, event)
		VALUES ($1, 0, 900, $2, gen_random_uuid(), 'blocked', now(), '{"raw_ref":"raw/ignored"}')`, string(w.Tenant), string(w.channel.ID))
	w.Exec(`INSERT INTO parley_quarantine (tenant_id, stream_partition, stream_seq, event, reason)
		VALUES ($1, 0, 901, convert_to('{"raw_ref":"raw/quarantined"}', 'UTF8'), 'odd')`, string(w.Tenant))
	stop := w.fetch()
	w.settled()
	stop()
	unsent, err := w.lib.Upload(t.Context(), w.Tenant, "", "unsent.txt", "", strings.NewReader("unsent"))
	if err != nil {
		t.Fatal(err)
	}
	w.Exec("INSERT INTO core_uploads (tenant_id, blob_key) VALUES ($1, 'elsewhere')", string(w.Tenant)) // another program's
	// Another program's table has one of ours.
	theirs, err := w.lib.Upload(t.Context(), w.Tenant, "", "theirs.txt", "", strings.NewReader("theirs"))
	if err != nil {
		t.Fatal(err)
	}
	w.Alter("CREATE TABLE crm_other (upload_id integer REFERENCES core_uploads (id)); GRANT ALL ON crm_other TO parley_worker")
	w.Exec("INSERT INTO crm_other VALUES ($1)", theirs.ID)

	sweep := func(age time.Duration) {
		t.Helper()
		o := w.opts
		o.KeepUnused, o.KeepPayloads = age, age
		f, err := media.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.opts.Registerer = nil
	uploads := func() int { return w.count("SELECT count(*) FROM core_uploads") }
	sweep(time.Hour)
	if uploads() != 6 || len(w.keys()) != 8 {
		t.Fatalf("a sweep of what is old left %d uploads and %v", uploads(), w.keys())
	}
	w.Exec("DELETE FROM crm_clients WHERE first_name = 'Client 1'")
	sweep(time.Nanosecond)
	left := strings.Join(w.keys(), " ")
	// What stays: kept's bytes, theirs, and two payloads.
	if uploads() != 4 || len(w.keys()) != 4 || strings.Contains(left, "raw/erased") || !strings.Contains(left, "raw/ignored") || !strings.Contains(left, "raw/quarantined") {
		t.Errorf("%d uploads and %v are left", uploads(), w.keys())
	}
	if _, err := w.DB.Upload(t.Context(), w.Tenant, unsent.ID); inbox.CodeOf(err) != inbox.NotFound {
		t.Errorf("what was never sent is still there: %v", err)
	}
	for _, a := range w.message().Attachments {
		if w.content(a.Upload) != "kept" {
			t.Error("a message lost its file")
		}
	}
	if got := w.content(theirs.ID); got != "theirs" {
		t.Errorf("another program lost its file: %q", got)
	}
}
