package api_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"parley/inbox"
	"parley/inbox/media"
	"parley/store"
	"parley/store/storetest"
)

const resumables = "/api/v1/resumable-uploads"

// tus makes a request of the protocol.
func (w *publicWorld) tus(who, method, path, body string, status int, header ...string) answer {
	w.Helper()
	if method == "PATCH" {
		header = append([]string{"Content-Type", "application/offset+octet-stream"}, header...)
	}
	res := w.send(who, method, path, body, append([]string{"Tus-Resumable", "1.0.0"}, header...)...)
	if res.StatusCode != status || res.Header.Get("Tus-Resumable") != "1.0.0" {
		w.Fatalf("%s %s %v: %d %v %s", method, path, header, res.StatusCode, res.Header, res.body)
	}
	return res
}

// begin begins an upload of so many bytes and returns its path.
func (w *publicWorld) begin(who, name string, size int, header ...string) string {
	w.Helper()
	return w.tus(who, "POST", resumables, "", 201, append([]string{
		"Upload-Length", fmt.Sprint(size), "Upload-Metadata", "filename " + base64.StdEncoding.EncodeToString([]byte(name)),
	}, header...)...).Header.Get("Location")
}

func (w *publicWorld) offset(who, path string) string {
	w.Helper()
	return w.tus(who, "HEAD", path, "", 200).Header.Get("Upload-Offset")
}

// A file in three pieces becomes an upload like any other, which a reply carries.
func TestAnUploadInPieces(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	me := w.a.session
	options := w.tus(me, "OPTIONS", resumables, "", 204).Header
	if options.Get("Tus-Version") != "1.0.0" || options.Get("Tus-Max-Size") != fmt.Sprint(1<<20) || options.Get("Tus-Extension") != "creation,expiration,termination" {
		t.Errorf("options are %v", options)
	}
	path := w.begin(me, "../../no\x00te.txt", 12)
	if head := w.tus(me, "HEAD", path, "", 200).Header; head.Get("Upload-Offset") != "0" || head.Get("Upload-Length") != "12" ||
		head.Get("Upload-Metadata") == "" || head.Get("Cache-Control") != "no-store" {
		t.Errorf("at the beginning it is %v", head)
	} else if expires, err := http.ParseTime(head.Get("Upload-Expires")); err != nil || expires.Before(w.now) {
		t.Errorf("it expires at %v, %v", expires, err)
	}
	w.tus(me, "PATCH", path, "dig ", 204, "Upload-Offset", "0")
	w.tus(me, "PATCH", path, "here", 204, "Upload-Offset", "4")
	last := w.tus(me, "PATCH", path, ", Bo", 204, "Upload-Offset", "8").Header
	if last.Get("Upload-Offset") != "12" || last.Get("Parley-Upload") == "" || w.tus(me, "HEAD", path, "", 200).Header.Get("Parley-Upload") != last.Get("Parley-Upload") {
		t.Fatalf("at the end it is %v", last)
	}
	var up inbox.Upload
	w.ask(me, "GET", "/api/v1/uploads/"+last.Get("Parley-Upload"), "", 200, &up)
	if up.Name != "note.txt" || up.MIME != "text/plain; charset=utf-8" || up.Size != 12 {
		t.Errorf("it became %+v", up)
	}
	if got := w.ask(me, "GET", fmt.Sprintf("/api/v1/uploads/%d/content", up.ID), "", 200, nil).body; got != "dig here, Bo" {
		t.Errorf("it says %q", got)
	}
	var m inbox.Message
	w.ask(me, "POST", fmt.Sprintf("/api/v1/chats/%d/messages", w.a.chat), fmt.Sprintf(`{"seen":1,"force":true,"attachments":[%d]}`, up.ID), 201, &m)
	if len(m.Attachments) != 1 || m.Attachments[0].Upload != up.ID {
		t.Errorf("the reply is %+v", m)
	}
	// Nothing is left of the pieces; a repeated last piece is told so.
	w.tus(me, "PATCH", path, ", Bo", 409, "Upload-Offset", "8")
	if left := w.partBlobs(); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
	w.tus(me, "DELETE", path, "", 204)
	w.tus(me, "HEAD", path, "", 404)
	w.ask(me, "GET", fmt.Sprintf("/api/v1/uploads/%d", up.ID), "", 200, nil)
}

func (w *publicWorld) partBlobs() (keys []string) {
	w.Helper()
	if err := w.files.List(w.Context(), store.PartPrefix, func(i store.BlobInfo) error { keys = append(keys, i.Key); return nil }); err != nil {
		w.Fatal(err)
	}
	return keys
}

// cut yields its text and then fails, as a lost connection does.
type cut struct{ r io.Reader }

func (c cut) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// What arrived before the connection was lost has arrived, also for another
// replica, which knows nothing but the database and the blob store.
func TestAnUploadGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	path := w.begin(w.a.session, "f.txt", 12)
	id := path[strings.LastIndexByte(path, '/')+1:]
	if _, err := w.desk.ContinueUpload(t.Context(), w.a.tenant.ID, w.a.owner.ID, id, 0, cut{strings.NewReader("dig ")}); inbox.CodeOf(err) != inbox.Invalid || !strings.Contains(err.Error(), "HEAD") {
		t.Errorf("a lost connection says %v", err)
	}
	if at := w.offset(w.a.session, path); at != "4" {
		t.Fatalf("it is at %s", at)
	}
	replica := media.NewLibrary(media.LibraryOptions{DB: w.db, Blobs: w.files, TempDir: t.TempDir(), MaxBytes: 1 << 20})
	r, err := replica.Append(t.Context(), w.a.tenant.ID, w.a.owner.ID, id, 4, strings.NewReader("here, Bo"))
	if err != nil || r.Upload == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := w.ask(w.a.session, "GET", fmt.Sprintf("/api/v1/uploads/%d/content", r.Upload), "", 200, nil).body; got != "dig here, Bo" {
		t.Errorf("it says %q", got)
	}
}

// Of several that send the same bytes at once one wins, and the others are told.
func TestPiecesAtOnce(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	for _, size := range []int{100, 5} { // in the middle, and the last piece
		path := w.begin(w.a.session, "f.txt", size)
		var mu sync.Mutex
		statuses := map[int]int{}
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				res := w.send(w.a.session, "PATCH", path, strings.Repeat(fmt.Sprint(i), 5), "Tus-Resumable", "1.0.0",
					"Content-Type", "application/offset+octet-stream", "Upload-Offset", "0")
				mu.Lock()
				defer mu.Unlock()
				statuses[res.StatusCode]++
				if res.StatusCode == 409 && !strings.Contains(res.body, "HEAD") {
					t.Errorf("refused with %s", res.body)
				}
			})
		}
		all.Wait()
		if statuses[204] != 1 || statuses[409] != 5 {
			t.Errorf("of %d bytes: %v", size, statuses)
		}
		if at := w.offset(w.a.session, path); at != "5" {
			t.Errorf("it is at %s", at)
		}
	}
}

func TestResumableProblems(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	me := w.a.session
	const piece = "application/offset+octet-stream"
	path := w.begin(me, "f.txt", 10)
	for what, tt := range map[string]struct {
		method, path, body string
		status             int
		says               string
		header             []string
	}{
		"another version":       {"PATCH", path, "x", 412, "1.0.0", []string{"Tus-Resumable", "0.2.2", "Upload-Offset", "0", "Content-Type", piece}},
		"no version":            {"POST", resumables, "", 412, "1.0.0", []string{"Upload-Length", "5"}},
		"no length":             {"POST", resumables, "", 400, "Upload-Length", []string{"Tus-Resumable", "1.0.0"}},
		"a length to come":      {"POST", resumables, "", 400, "Upload-Length", []string{"Tus-Resumable", "1.0.0", "Upload-Defer-Length", "1"}},
		"a negative length":     {"POST", resumables, "", 400, "Upload-Length", []string{"Tus-Resumable", "1.0.0", "Upload-Length", "-1"}},
		"nothing":               {"POST", resumables, "", 422, "empty", []string{"Tus-Resumable", "1.0.0", "Upload-Length", "0"}},
		"too much":              {"POST", resumables, "", 413, "smaller", []string{"Tus-Resumable", "1.0.0", "Upload-Length", "1048577"}},
		"odd metadata":          {"POST", resumables, "", 400, "base64", []string{"Tus-Resumable", "1.0.0", "Upload-Length", "5", "Upload-Metadata", "filename !"}},
		"another type":          {"PATCH", path, "x", 415, piece, []string{"Tus-Resumable", "1.0.0", "Upload-Offset", "0", "Content-Type", "text/plain"}},
		"no offset":             {"PATCH", path, "x", 400, "HEAD", []string{"Tus-Resumable", "1.0.0", "Content-Type", piece}},
		"an offset further on":  {"PATCH", path, "x", 409, "HEAD", []string{"Tus-Resumable", "1.0.0", "Upload-Offset", "3", "Content-Type", piece}},
		"more than announced":   {"PATCH", path, "12345678901", 413, "10 bytes left", []string{"Tus-Resumable", "1.0.0", "Upload-Offset", "0", "Content-Type", piece}},
		"an id that is no uuid": {"PATCH", resumables + "/x", "x", 404, "no unfinished upload", []string{"Tus-Resumable", "1.0.0", "Upload-Offset", "0", "Content-Type", piece}},
	} {
		res := w.send(me, tt.method, tt.path, tt.body, tt.header...)
		if res.StatusCode != tt.status || !strings.Contains(res.body, tt.says) || res.Header.Get("Tus-Version") != "1.0.0" {
			t.Errorf("%s: %d %s", what, res.StatusCode, res.body)
		}
	}
	id := path[strings.LastIndexByte(path, '/')+1:]
	if _, err := w.desk.ContinueUpload(t.Context(), w.a.tenant.ID, w.a.owner.ID, id, 0, strings.NewReader("12345678901")); inbox.CodeOf(err) != inbox.Invalid {
		t.Errorf("more than announced, of unknown length: %v", err)
	}
	if at := w.offset(me, path); at != "0" {
		t.Errorf("it is at %s", at)
	}
	// The same key begins once; another file under it is refused.
	keyed := w.begin(me, "f.txt", 10, "Idempotency-Key", "k")
	if again := w.begin(me, "f.txt", 10, "Idempotency-Key", "k"); again != keyed {
		t.Errorf("the same key began %s and %s", keyed, again)
	}
	w.tus(me, "POST", resumables, "", 409, "Upload-Length", "11", "Idempotency-Key", "k")

	// A colleague, and another tenant: as if there was none.
	_ = w.join(w.a, "ben@acme.example", inbox.Agent)
	for who, token := range map[string]string{"a colleague": w.logIn(w.a, "ben@acme.example"), "another tenant": w.b.session} {
		w.tus(token, "HEAD", path, "", 404)
		w.tus(token, "DELETE", path, "", 404)
		if res := w.tus(token, "PATCH", path, "x", 404, "Upload-Offset", "0"); !strings.Contains(res.body, "no unfinished upload") {
			t.Errorf("%s reads %s", who, res.body)
		}
	}
	// Once it has expired it is gone, and the sweep forgets it with its bytes.
	w.tus(me, "PATCH", path, "12345", 204, "Upload-Offset", "0")
	storetest.Exec(t, w.url, "UPDATE parley_resumables SET expires_at = now() - interval '1 second' WHERE id = $1", id)
	w.tus(me, "HEAD", path, "", 410)
	w.tus(me, "PATCH", path, "x", 410, "Upload-Offset", "5")
	if n, err := w.db.SweepResumables(t.Context()); err != nil || n != 1 {
		t.Errorf("%d swept, %v", n, err)
	}
	w.tus(me, "HEAD", path, "", 404)
	if n, err := w.db.SweepBlobs(t.Context(), w.files, store.PartPrefix, 0); err != nil || n != 1 {
		t.Errorf("%d blobs swept, %v", n, err)
	}
	// What still arrives stays.
	w.tus(me, "PATCH", keyed, "12345", 204, "Upload-Offset", "0")
	if n, err := w.db.SweepBlobs(t.Context(), w.files, store.PartPrefix, 0); err != nil || n != 0 {
		t.Errorf("%d blobs in use swept, %v", n, err)
	}
}

// What is announced counts from the beginning, and no longer once it is there or
// cancelled.
func TestUnfinishedUploadsAreBounded(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	me := w.a.session
	paths := map[string]bool{}
	for range store.MaxUnfinished - 1 { // one began with the world
		paths[w.begin(me, "f.txt", 1)] = true
	}
	refused := w.tus(me, "POST", resumables, "", 409, "Upload-Length", "1")
	if !strings.Contains(refused.body, "100 unfinished uploads") || !strings.Contains(refused.body, "cancel") {
		t.Errorf("refused with %s", refused.body)
	}
	w.begin(w.b.session, "f.txt", 1) // another tenant's are its own
	ids := slices.Collect(maps.Keys(paths))
	w.tus(me, "DELETE", ids[0], "", 204)
	w.begin(me, "f.txt", 1)
	w.tus(me, "PATCH", ids[1], "x", 204, "Upload-Offset", "0")
	w.begin(me, "f.txt", 1)
	w.tus(me, "POST", resumables, "", 409, "Upload-Length", "1")
}
