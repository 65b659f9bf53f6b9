package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var errNoSuchBlob = errors.New("no such blob")

type nopSeeker struct{ *bytes.Reader }

func (nopSeeker) Close() error { return nil }

// newLinks makes links at a clock that the test moves.
func newLinks(t testing.TB, key byte, now *time.Time) *MediaLinks {
	t.Helper()
	l, err := NewMediaLinks(MediaLinkOptions{
		Keys: func() [][]byte { return [][]byte{bytes.Repeat([]byte{key}, 32)} }, PublicURL: "https://inbox.example.com/",
		Open: func(_ context.Context, key string) (io.ReadSeekCloser, error) {
			switch key {
			case "media/t/one":
				return nopSeeker{bytes.NewReader([]byte("0123456789"))}, nil
			case "media/t/down":
				return nil, errors.New("the bucket does not answer")
			}
			return nil, errNoSuchBlob
		},
		Gone: errNoSuchBlob, Now: func() time.Time { return *now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestMediaLinks(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	now := start
	l := newLinks(t, 1, &now)
	link := func(key string) string {
		u := l.URL(LinkedFile{Key: key, MIME: "image/jpeg", Name: "Törtchen.jpg"})
		path, ok := strings.CutPrefix(u, "https://inbox.example.com")
		if !ok || !strings.HasPrefix(path, "/media/") || len(u) > 500 {
			t.Fatalf("a link is %s", u)
		}
		return path
	}
	good := link("media/t/one")
	flipped := []byte(good)
	flipped[len("/media/")+5] ^= 1
	stranger := newLinks(t, 2, &now)
	forged, _ := strings.CutPrefix(stranger.URL(LinkedFile{Key: "media/t/one"}), "https://inbox.example.com")
	payload, _, _ := strings.Cut(good, ".")
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(payload, "/media/"))
	if err != nil {
		t.Fatal(err)
	}
	_, signature, _ := strings.Cut(good, ".")
	longer := "/media/" + base64.RawURLEncoding.EncodeToString(bytes.Replace(text, []byte(`"e":1`), []byte(`"e":9`), 1)) + "." + signature

	for _, test := range []struct {
		name, method, path string
		after              time.Duration
		header             string
		status             int
		body               string
	}{
		{"whole", "GET", good, 0, "", 200, "0123456789"},
		{"head", "HEAD", good, 0, "", 200, ""},
		{"range", "GET", good, 0, "bytes=2-4", 206, "234"},
		{"no such range", "GET", good, 0, "bytes=20-", 416, "*"},
		{"just before its end", "GET", good, MediaLinkTime - time.Second, "", 200, "0123456789"},
		{"expired", "GET", good, MediaLinkTime, "", 410, "*"},
		{"a changed byte", "GET", string(flipped), 0, "", 404, "*"},
		{"a later end", "GET", longer, 0, "", 404, "*"},
		{"another key", "GET", forged, 0, "", 404, "*"},
		{"no signature", "GET", payload, 0, "", 404, "*"},
		{"an empty one", "GET", payload + ".", 0, "", 404, "*"},
		{"nothing", "GET", "/media/", 0, "", 404, "*"},
		{"a path", "GET", "/media/../../etc/passwd", 0, "", 404, "*"},
		{"long", "GET", "/media/" + strings.Repeat("A", 5000), 0, "", 404, "*"},
		{"erased", "GET", link("media/t/two"), 0, "", 404, "*"},
		{"out of reach", "GET", link("media/t/down"), 0, "", 503, "*"},
		{"posted", "POST", good, 0, "", 405, "*"},
	} {
		now = start.Add(test.after)
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), test.method, "https://inbox.example.com/", nil)
		r.URL.Path = test.path
		if test.header != "" {
			r.Header.Set("Range", test.header)
		}
		l.ServeHTTP(w, r)
		if w.Code != test.status || test.body != "*" && w.Body.String() != test.body {
			t.Errorf("%s: %d %q, want %d %q", test.name, w.Code, w.Body, test.status, test.body)
		}
		h := w.Header()
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" && w.Code != 416 {
			t.Errorf("%s: headers are %v", test.name, h)
		}
		if test.status > 206 {
			continue
		}
		if h.Get("Content-Type") != "image/jpeg" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") ||
			h.Get("Accept-Ranges") != "bytes" || h.Get("Content-Length") == "" || !strings.Contains(h.Get("Content-Disposition"), "T%C3%B6rtchen.jpg") {
			t.Errorf("%s: headers are %v", test.name, h)
		}
	}
	if bytes.Contains([]byte(good), []byte("media/t/one")) {
		t.Error("the link shows the key")
	}
}

func TestMediaLinksNeedAPublicURLAndAKey(t *testing.T) {
	t.Parallel()
	open := func(context.Context, string) (io.ReadSeekCloser, error) { return nil, errNoSuchBlob }
	l, err := NewMediaLinks(MediaLinkOptions{Keys: func() [][]byte { return [][]byte{make([]byte, 32)} }, Open: open, Gone: errNoSuchBlob})
	if err != nil || l.URL(LinkedFile{Key: "k"}) != "" {
		t.Errorf("a link to nowhere, %v", err)
	}
	if _, err := NewMediaLinks(MediaLinkOptions{Keys: func() [][]byte { return [][]byte{make([]byte, 8)} }, Open: open, Gone: errNoSuchBlob}); err == nil {
		t.Error("a short key was taken")
	}
}

func FuzzMediaLink(f *testing.F) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	l := newLinks(f, 1, &now)
	good := l.URL(LinkedFile{Key: "media/t/one", MIME: "image/jpeg"})
	good = good[strings.Index(good, MediaPrefix)+len(MediaPrefix):]
	f.Add(good)
	f.Add("")
	f.Add("e30.AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://x/", nil)
		r.URL.Path = MediaPrefix + token
		l.ServeHTTP(w, r)
		if (w.Code == http.StatusOK) != (token == good) {
			t.Errorf("%q is answered %d", token, w.Code)
		}
	})
}
