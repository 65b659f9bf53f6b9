package store_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"parley/store"
)

func TestBlobFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := store.OpenBlobFolder(dir + "/blobs")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, content := range []string{"first", "second"} {
		if err := f.Put(t.Context(), "raw/2026/a", strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		r, err := f.Open(t.Context(), "raw/2026/a")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != content {
			t.Errorf("read %q, %v", got, err)
		}
		_ = r.Close()
	}
	if _, err := f.Open(t.Context(), "raw/none"); !errors.Is(err, store.ErrNoBlob) {
		t.Errorf("a missing blob: %v", err)
	}
	for _, key := range []string{"", "../out", "/etc/passwd", "a/../../b", "x.tmp"} {
		if err := f.Put(t.Context(), key, strings.NewReader("x")); err == nil {
			t.Errorf("%q was taken as a key", key)
		}
	}
	broken := io.MultiReader(strings.NewReader("half"), brokenReader{})
	if err := f.Put(t.Context(), "raw/2026/a", broken); err == nil {
		t.Error("a broken upload was stored")
	}
	r, err := f.Open(t.Context(), "raw/2026/a")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if got, _ := io.ReadAll(r); string(got) != "second" {
		t.Errorf("a broken upload replaced the blob by %q", got)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }
