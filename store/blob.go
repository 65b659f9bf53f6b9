package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// BlobFolder keeps large payloads as files below a folder that every role of
// the installation shares. A blob is written once and never changed.
type BlobFolder struct{ root *os.Root }

// ErrNoBlob says that there is no blob of that key.
var ErrNoBlob = errors.New("no such blob")

// OpenBlobFolder opens the folder, making it when missing.
func OpenBlobFolder(dir string) (*BlobFolder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("blob folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("blob folder: %w", err)
	}
	return &BlobFolder{root: root}, nil
}

// Close closes the folder.
func (f *BlobFolder) Close() error { return f.root.Close() }

// Put stores a blob and returns once it would survive a power failure: content,
// then its name in the folder, each fsynced. Keys are slash-separated words;
// storing the same key again replaces the blob as a whole.
func (f *BlobFolder) Put(_ context.Context, key string, r io.Reader) (err error) {
	name, err := blobName(key)
	if err != nil {
		return err
	}
	dir := filepath.Dir(name)
	if err := f.root.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("blob %s: %w", key, err)
	}
	// Two may store the same blob at once, each whole.
	temporary := name + "." + rand.Text() + ".tmp"
	file, err := f.root.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("blob %s: %w", key, err)
	}
	defer func() {
		if err != nil {
			_ = f.root.Remove(temporary) // what is half written is of no use
		}
	}()
	if _, err = io.Copy(file, r); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("blob %s: %w", key, err)
	}
	if err = f.root.Rename(temporary, name); err != nil {
		return fmt.Errorf("blob %s: %w", key, err)
	}
	return f.syncFolders(dir)
}

// syncFolders makes new names durable, from dir up to the root.
func (f *BlobFolder) syncFolders(dir string) error {
	for {
		d, err := f.root.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return fmt.Errorf("blob folder %s: %w", dir, err)
		}
		if dir == "." {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

// Open opens a blob, or returns ErrNoBlob.
func (f *BlobFolder) Open(_ context.Context, key string) (io.ReadCloser, error) {
	name, err := blobName(key)
	if err != nil {
		return nil, err
	}
	file, err := f.root.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoBlob, key)
	}
	return file, err
}

// blobName is the key's path below the root.
func blobName(key string) (string, error) {
	if key == "" || strings.HasSuffix(key, ".tmp") || !filepath.IsLocal(key) {
		return "", fmt.Errorf("%q cannot name a blob", key)
	}
	return filepath.Clean(filepath.FromSlash(key)), nil
}
