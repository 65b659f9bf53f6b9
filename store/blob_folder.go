package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

var _ Blobs = (*BlobFolder)(nil)

// BlobFolder keeps blobs as files below a folder that every role of the
// installation shares.
type BlobFolder struct{ root *os.Root }

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

// temporarySuffix ends the names of what is being written.
const temporarySuffix = ".tmp"

// Put implements [Blobs]: content, then its name in the folder, each fsynced.
func (f *BlobFolder) Put(ctx context.Context, key string, r io.Reader) (err error) {
	if err := validKey(key); err != nil {
		return err
	}
	if strings.HasSuffix(key, temporarySuffix) {
		return fmt.Errorf("%q cannot name a blob", key)
	}
	if _, err := rewound(r); err != nil {
		return fmt.Errorf("blob %s: %w", key, err)
	}
	name := filepath.FromSlash(key)
	dir := filepath.Dir(name)
	if err := f.root.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("blob %s: %w", key, err)
	}
	// Two may store the same blob at once, each whole.
	temporary := name + "." + rand.Text() + temporarySuffix
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
	if err = errors.Join(err, file.Close(), ctx.Err()); err != nil {
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

// fileBlob is an open file.
type fileBlob struct {
	*os.File
	size int64
}

// Size implements [Blob].
func (b *fileBlob) Size() int64 { return b.size }

// Open implements [Blobs].
func (f *BlobFolder) Open(_ context.Context, key string) (Blob, error) {
	if err := validKey(key); err != nil {
		return nil, err
	}
	file, err := f.root.Open(filepath.FromSlash(key))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoBlob, key)
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", key, err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNoBlob // a folder of blobs
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("blob %s: %w", key, err)
	}
	return &fileBlob{File: file, size: info.Size()}, nil
}

// Delete implements [Blobs]. Folders stay: another blob may be on its way into
// one.
func (f *BlobFolder) Delete(_ context.Context, key string) error {
	if err := validKey(key); err != nil {
		return err
	}
	if err := f.root.Remove(filepath.FromSlash(key)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("blob %s: %w", key, err)
	}
	return nil
}

// List implements [Blobs]. What a crash left half written is listed, too, so
// that it can be removed: its key ends with ".tmp".
func (f *BlobFolder) List(ctx context.Context, prefix string, each func(BlobInfo) error) error {
	start := "."
	if i := strings.LastIndexByte(prefix, '/'); i > 0 {
		start = prefix[:i]
	}
	err := fs.WalkDir(f.root.FS(), start, func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // removed meanwhile, or never made
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir() || !strings.HasPrefix(name, prefix):
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return each(BlobInfo{Key: name, Size: info.Size(), StoredAt: info.ModTime()})
	})
	if err != nil {
		return fmt.Errorf("blob folder: %w", err)
	}
	return nil
}
