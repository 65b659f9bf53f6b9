package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"

	"parley/store"
)

// startBucket runs an S3 server with one bucket and returns its URL, as it is
// given to OpenBlobs.
func startBucket(t *testing.T) (blobURL string) {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(t.Context(), "parley"); err != nil {
		t.Fatal(err)
	}
	s3 := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// To S3 an empty delimiter is none; to this server it is one.
		r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "delimiter=&", "")
		s3.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return "s3://parley/some/prefix?endpoint=" + url.QueryEscape(srv.URL) + "&region=eu-central-1"
}

// TestBlobs holds both stores to what the interface says.
func TestBlobs(t *testing.T) {
	if os.Getenv("AWS_ACCESS_KEY_ID") == "" {
		t.Setenv("AWS_ACCESS_KEY_ID", "key")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	}
	log.SetOutput(io.Discard) // the S3 server's, of handlers cut short
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	stores := map[string]string{
		"folder": "file://" + filepath.ToSlash(t.TempDir()) + "/new/blobs",
		"bucket": startBucket(t),
	}
	// Any other S3 server, with its credentials in the environment.
	if other := os.Getenv("PARLEY_TEST_BLOB_URL"); other != "" {
		stores["other"] = other
	}
	for name, blobURL := range stores {
		t.Run(name, func(t *testing.T) {
			b, err := store.OpenBlobs(t.Context(), blobURL)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = b.Close() }()
			testBlobs(t, b)
		})
	}
}

func testBlobs(t *testing.T, b store.Blobs) {
	ctx := t.Context()
	put := func(key string, r io.Reader) {
		t.Helper()
		if err := b.Put(ctx, key, r); err != nil {
			t.Fatal(err)
		}
	}
	for _, content := range []string{"first", "second", ""} {
		put("raw/2026/a", strings.NewReader(content))
		if got := readBlob(t, b, "raw/2026/a"); got != content {
			t.Errorf("read %q, want %q", got, content)
		}
	}
	// A reader that was read before, and one that cannot be read again.
	again := strings.NewReader("whole")
	_, _ = again.ReadByte()
	put("media/t/one", again)
	put("media/t/two", io.MultiReader(strings.NewReader("str"), strings.NewReader("eam")))
	if one, two := readBlob(t, b, "media/t/one"), readBlob(t, b, "media/t/two"); one != "whole" || two != "stream" {
		t.Errorf("read %q and %q", one, two)
	}

	broken := io.MultiReader(strings.NewReader("half"), brokenReader{})
	if err := b.Put(ctx, "media/t/one", broken); err == nil {
		t.Error("a broken upload was stored")
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := b.Put(gone, "media/t/one", strings.NewReader("too late")); err == nil {
		t.Error("an upload was stored after its context had ended")
	}
	if got := readBlob(t, b, "media/t/one"); got != "whole" {
		t.Errorf("a broken upload replaced the blob by %q", got)
	}

	for _, key := range []string{"raw/none", "raw/2026", "raw"} {
		if _, err := b.Open(ctx, key); !errors.Is(err, store.ErrNoBlob) {
			t.Errorf("a missing blob %s: %v", key, err)
		}
	}
	for _, key := range []string{"", "../out", "/etc/passwd", "a/../../b", "a//b", "a/", "a\x00b", "a\\b", strings.Repeat("k", 600)} {
		if err := b.Put(ctx, key, strings.NewReader("x")); err == nil {
			t.Errorf("%q was taken as a key", key)
		}
		if _, err := b.Open(ctx, key); err == nil || errors.Is(err, store.ErrNoBlob) {
			t.Errorf("%q was looked up: %v", key, err)
		}
	}
	testBlobRanges(t, b)

	list := func(prefix string) (keys []string) {
		t.Helper()
		if err := b.List(ctx, prefix, func(i store.BlobInfo) error {
			if time.Since(i.StoredAt).Abs() > time.Hour || i.Key == "media/t/two" && i.Size != 6 {
				t.Errorf("listed as %+v", i)
			}
			keys = append(keys, i.Key)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(keys)
		return keys
	}
	if got := list("media/"); !slices.Equal(got, []string{"media/big", "media/t/one", "media/t/two"}) {
		t.Errorf("listed %v", got)
	}
	if got := list("nothing/"); len(got) != 0 {
		t.Errorf("listed %v", got)
	}
	enough := errors.New("enough")
	if err := b.List(ctx, "", func(store.BlobInfo) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("listing did not end: %v", err)
	}
	for range 2 {
		if err := b.Delete(ctx, "media/t/one"); err != nil {
			t.Error(err)
		}
	}
	if got := list("media/t/"); !slices.Equal(got, []string{"media/t/two"}) {
		t.Errorf("listed %v after the deletion", got)
	}
}

// testBlobRanges reads parts of a blob that takes several parts to upload.
func testBlobRanges(t *testing.T, b store.Blobs) {
	content := make([]byte, 9<<20)
	_, _ = rand.Read(content)
	if err := b.Put(t.Context(), "media/big", bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	r, err := b.Open(t.Context(), "media/big")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if r.Size() != int64(len(content)) {
		t.Errorf("its size is %d", r.Size())
	}
	for _, at := range []int{0, 8 << 20, 5, len(content) - 100} {
		if _, err := r.Seek(int64(at), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 100)
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, content[at:at+100]) {
			t.Errorf("from %d: other bytes, %v", at, err)
		}
	}
	if n, err := r.Seek(0, io.SeekEnd); err != nil || n != int64(len(content)) {
		t.Errorf("its end is at %d, %v", n, err)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d other bytes, %v", len(got), err)
	}
}

func readBlob(t *testing.T, b store.Blobs, key string) string {
	t.Helper()
	r, err := b.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if r.Size() != int64(len(got)) {
		t.Errorf("%s has %d bytes, and says %d", key, len(got), r.Size())
	}
	return string(got)
}

// A crash leaves a file that nobody will finish; it can be found and removed.
func TestBlobFolderListsWhatACrashLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "media"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "media", "x.ABC.tmp"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := store.OpenBlobFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if err := b.Put(t.Context(), "media/y.tmp", strings.NewReader("x")); err == nil {
		t.Error("a key that looks half written was taken")
	}
	err = b.List(t.Context(), "media/", func(i store.BlobInfo) error { return b.Delete(t.Context(), i.Key) })
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "media")); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestOpenBlobsSaysWhatIsWrong(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s3cret-of-the-bucket")
	there := startBucket(t)
	for blobURL, says := range map[string]string{
		"blobs":                         "there are file:///folder",
		"ftp://host/x":                  "there are file:///folder",
		"file://blobs":                  "file:///var/lib",
		"s3://":                         "names no bucket",
		"s3://parley?endpoint=host":     "https://s3.example.com",
		"s3://u:passw0rd@parley":        "must not hold credentials",
		"s3://parley?password=passw0rd": "there are endpoint, region",
		"s3://parley?style=odd":         "path or host",
		"s3://parley?region=eu&endpoint=" + "http://127.0.0.1:1":  "check the endpoint",
		strings.Replace(there, "s3://parley", "s3://missing", 1):  "there is no bucket missing",
		"s3://parley?endpoint=" + url.QueryEscape("http://u:p@h"): "https://s3.example.com",
	} {
		_, err := store.OpenBlobs(t.Context(), blobURL)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", blobURL, err, says)
		}
		if err != nil && (strings.Contains(err.Error(), "passw0rd") || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }
