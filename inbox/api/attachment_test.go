package api_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"strings"
	"testing"

	"parley/events"
	"parley/inbox"
	"parley/inbox/api"
)

// file makes a request whose answer is no JSON, or whose body is none.
func (w *world) file(method, path, body string, header ...string) (status int, head http.Header, content string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://parley"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
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
	return res.StatusCode, res.Header, string(data)
}

func TestUploadsAndReplies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says(1, "a photo, please")
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 800, 400))); err != nil {
		t.Fatal(err)
	}
	upload := func(name, content string, status int, out any) {
		t.Helper()
		w.do("POST", "/api/v1/uploads?name="+name, content, status, out, "Content-Type", "application/octet-stream")
	}
	var photo, text inbox.Upload
	upload("photo.png", picture.String(), 201, &photo)
	upload("note.txt", "dig here", 201, &text)
	if photo.MIME != "image/png" || photo.Width != 800 || !photo.Thumbnail || text.MIME != "text/plain; charset=utf-8" || text.Name != "note.txt" {
		t.Fatalf("uploads are %+v and %+v", photo, text)
	}
	var info inbox.Upload
	if w.do("GET", fmt.Sprint("/api/v1/uploads/", photo.ID), "", 200, &info); info != photo {
		t.Errorf("it is %+v, was %+v", info, photo)
	}

	body := fmt.Sprintf(`{"text":"look","seen":1,"attachments":[%d,%d]}`, photo.ID, text.ID)
	var m, again, alone inbox.Message
	w.do("POST", "/api/v1/chats/1/messages", body, 201, &m, "Idempotency-Key", "k")
	w.do("POST", "/api/v1/chats/1/messages", body, 201, &again, "Idempotency-Key", "k")
	if m.ID != again.ID || m.Kind != string(events.Photo) || m.Text != "look" || len(m.Attachments) != 2 ||
		m.Attachments[0].Upload != photo.ID || m.Attachments[1].Upload != text.ID || m.Attachments[1].Kind != events.Document || m.Attachments[0].State != inbox.FileStored {
		t.Errorf("messages are %+v and %+v", m, again)
	}
	var p api.Problem
	w.do("POST", "/api/v1/chats/1/messages", fmt.Sprintf(`{"text":"look","seen":1,"attachments":[%d]}`, photo.ID), 409, &p, "Idempotency-Key", "k")
	if p.Code != inbox.Conflict {
		t.Errorf("another reply under the key: %+v", p)
	}
	w.do("POST", "/api/v1/chats/1/messages", fmt.Sprintf(`{"seen":2,"attachments":[%d]}`, text.ID), 201, &alone)
	if alone.Text != "[document note.txt]" || alone.Content.Text != "" || alone.Attachments[0].Thumbnail {
		t.Errorf("a file alone is %+v", alone)
	}
	var page api.Messages
	w.do("GET", "/api/v1/chats/1/messages", "", 200, &page)
	if len(page.Items) != 3 || len(page.Items[0].Attachments) != 0 || len(page.Items[1].Attachments) != 2 || len(page.Items[2].Attachments) != 1 {
		t.Errorf("messages are %+v", page.Items)
	}

	status, head, got := w.file("GET", fmt.Sprintf("/api/v1/uploads/%d/content", photo.ID), "")
	if status != 200 || got != picture.String() || !strings.HasPrefix(head.Get("Content-Disposition"), "attachment") ||
		!strings.Contains(head.Get("Content-Security-Policy"), "sandbox") || head.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("downloaded %d bytes, %v", len(got), head)
	}
	status, head, got = w.file("GET", fmt.Sprintf("/api/v1/uploads/%d/content?inline=true", text.ID), "", "Range", "bytes=4-")
	if status != 206 || got != "here" || !strings.HasPrefix(head.Get("Content-Disposition"), "inline") {
		t.Errorf("a range is %d %q, %v", status, got, head)
	}
	status, head, got = w.file("GET", fmt.Sprintf("/api/v1/uploads/%d/thumbnail", photo.ID), "")
	if status != 200 || head.Get("Content-Type") != "image/jpeg" || !strings.HasPrefix(got, "\xff\xd8") {
		t.Errorf("the small picture is %d, %v", status, head)
	}
	w.do("GET", fmt.Sprintf("/api/v1/uploads/%d/thumbnail", text.ID), "", 404, &p)
	w.do("POST", fmt.Sprintf("/api/v1/messages/%d/refetch", m.ID), "", 200, nil)
}

func TestUploadProblems(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says(1, "hello")
	other, err := w.db.CreateTenant(t.Context(), "Other")
	if err != nil {
		t.Fatal(err)
	}
	acme := []string{"Parley-Tenant", string(w.tenant.ID), "Content-Type", "application/octet-stream"}
	var theirs inbox.Upload
	w.do("POST", "/api/v1/uploads", "secret", 201, &theirs, "Parley-Tenant", string(other.ID), "Content-Type", "text/plain")
	for _, tt := range []struct {
		method, path, body string
		status             int
		code               inbox.Code
		says               string
	}{
		{"GET", fmt.Sprint("/api/v1/uploads/", theirs.ID), "", 404, inbox.NotFound, "no file"},
		{"GET", fmt.Sprintf("/api/v1/uploads/%d/content", theirs.ID), "", 404, inbox.NotFound, "no file"},
		{"GET", fmt.Sprintf("/api/v1/uploads/%d/thumbnail", theirs.ID), "", 404, inbox.NotFound, "no file"},
		{"GET", "/api/v1/uploads/999/content", "", 404, inbox.NotFound, "no file 999"},
		{"GET", "/api/v1/uploads/x/content", "", 422, inbox.Invalid, "path.upload"},
		{"GET", "/api/v1/uploads/9999999999/content", "", 404, inbox.NotFound, "no file"},
		{"POST", "/api/v1/uploads", "", 422, inbox.Invalid, "empty"},
		{"POST", "/api/v1/uploads", strings.Repeat("x", 2<<20), 422, inbox.Invalid, "larger than 1 MB"},
		{"POST", "/api/v1/messages/999/refetch", "", 404, inbox.NotFound, "no message 999"},
	} {
		status, _, body := w.file(tt.method, tt.path, tt.body, acme...)
		if status != tt.status || !strings.Contains(body, `"code":"`+string(tt.code)+`"`) || !strings.Contains(body, tt.says) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, status, body)
		}
	}
	json := []string{"Parley-Tenant", string(w.tenant.ID), "Content-Type", "application/json"}
	many := strings.TrimSuffix(strings.Repeat("1,", 21), ",")
	for body, says := range map[string]string{
		fmt.Sprintf(`{"seen":1,"attachments":[%d]}`, theirs.ID): "no file",
		`{"seen":1,"attachments":[]}`:                           "no text",
		`{"seen":1,"attachments":[1,1]}`:                        "twice",
		`{"seen":1,"attachments":[` + many + `]}`:               "attachments",
		`{"seen":1,"attachments":[99999999999999]}`:             "no file",
	} {
		status, _, got := w.file("POST", "/api/v1/chats/1/messages", body, json...)
		if status < 400 || status >= 500 || !strings.Contains(got, says) {
			t.Errorf("%s: %d %s", body, status, got)
		}
	}
}
