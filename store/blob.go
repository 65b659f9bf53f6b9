package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Blobs keeps bytes by key: payloads and files. [BlobFolder] and [BlobBucket]
// are the two there are. A key is slash-separated words, at most [MaxBlobKey]
// bytes. The methods may be called from several goroutines.
type Blobs interface {
	// Put stores a blob and returns once it would survive a power failure. Storing
	// the same key again replaces the blob as a whole; a failure leaves what was
	// there. An r that is an io.Seeker is stored from its start.
	Put(ctx context.Context, key string, r io.Reader) error
	// Open opens a blob, or returns ErrNoBlob. The context holds until it is
	// closed.
	Open(ctx context.Context, key string) (Blob, error)
	// Delete removes a blob; one that is not there is removed already.
	Delete(ctx context.Context, key string) error
	// List calls f for each blob whose key starts with prefix, in no order, until
	// f fails. What is stored meanwhile may be missing.
	List(ctx context.Context, prefix string, f func(BlobInfo) error) error
	Close() error
}

// Blob is an open blob. Seeking costs nothing until the next read.
type Blob interface {
	io.ReadSeekCloser
	// Size is in bytes.
	Size() int64
}

// BlobInfo is what a store knows of a blob.
type BlobInfo struct {
	Key string
	// Size is in bytes.
	Size int64
	// StoredAt is by the store's clock.
	StoredAt time.Time
}

// MaxBlobKey is the longest key in bytes: S3 takes 1024 with the prefix
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html).
const MaxBlobKey = 512

// ErrNoBlob says that there is no blob of that key.
var ErrNoBlob = errors.New("no such blob")

// OpenBlobs opens the store that a URL names:
//
//	file:///var/lib/parley/blobs
//	s3://bucket/prefix?endpoint=https://s3.example.com&region=eu-central-1
//
// For s3, endpoint is Amazon's and region is asked for when they are left out;
// style=path puts the bucket into the path instead of the host's name, as most
// servers of one's own want (the default unless the endpoint is a known one).
// Credentials come from where every S3 program finds them, never from the URL:
// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the file ~/.aws/credentials, or
// the machine's role. The bucket has to exist and answer.
func OpenBlobs(ctx context.Context, rawURL string) (Blobs, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("the blob URL is not a URL: it looks like file:///folder or s3://bucket/prefix")
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" || !filepath.IsAbs(u.Path) || u.RawQuery != "" {
			return nil, fmt.Errorf("blob URL %s: a folder looks like file:///var/lib/parley/blobs", u.Redacted())
		}
		return OpenBlobFolder(filepath.FromSlash(u.Path))
	case "s3":
		return OpenBlobBucket(ctx, u)
	}
	return nil, fmt.Errorf("blob URL of scheme %q: there are file:///folder and s3://bucket/prefix", u.Scheme)
}

// validKey refuses what is no key in every store alike.
func validKey(key string) error {
	if key == "" || len(key) > MaxBlobKey || !filepath.IsLocal(key) ||
		filepath.ToSlash(filepath.Clean(key)) != key || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == '\\' }) {
		return fmt.Errorf("%q cannot name a blob", key)
	}
	return nil
}

// rewound is r from its start with its length, or -1 where only reading tells.
func rewound(r io.Reader) (int64, error) {
	s, ok := r.(io.Seeker)
	if !ok {
		return -1, nil
	}
	size, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	_, err = s.Seek(0, io.SeekStart)
	return size, err
}
