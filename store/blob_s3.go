package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

var _ Blobs = (*BlobBucket)(nil)

// BlobBucket keeps blobs in a bucket of Amazon S3 or of a server that speaks its
// protocol. It relies on what S3 promises: an object is whole and durable once
// its upload was answered, and seen by whoever asks afterwards
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel).
type BlobBucket struct {
	client *minio.Client
	bucket string
	// prefix is empty or ends with a slash.
	prefix string
}

// amazon is the endpoint when none is given.
const amazon = "https://s3.amazonaws.com"

// OpenBlobBucket opens the bucket of an s3 URL; see [OpenBlobs].
func OpenBlobBucket(ctx context.Context, u *url.URL) (*BlobBucket, error) {
	if u.User != nil {
		return nil, errors.New("the blob URL must not hold credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	query := u.Query()
	endpoint := query.Get("endpoint")
	if endpoint == "" {
		endpoint = amazon
	}
	server, err := url.Parse(endpoint)
	if err != nil || server.Host == "" || server.User != nil || server.Scheme != "https" && server.Scheme != "http" {
		return nil, errors.New("the blob URL's endpoint is not a URL: it looks like https://s3.example.com")
	}
	opts := &minio.Options{
		Creds: bucketCredentials(), Secure: server.Scheme == "https", Region: query.Get("region"), MaxRetries: 3,
	}
	switch query.Get("style") {
	case "path":
		opts.BucketLookup = minio.BucketLookupPath
	case "host":
		opts.BucketLookup = minio.BucketLookupDNS
	case "":
	default:
		return nil, errors.New("the blob URL's style is path or host")
	}
	for name := range query {
		if name != "endpoint" && name != "region" && name != "style" {
			return nil, fmt.Errorf("the blob URL has the parameter %q; there are endpoint, region and style", name)
		}
	}
	b := &BlobBucket{bucket: u.Host, prefix: strings.Trim(u.Path, "/")}
	if b.bucket == "" {
		return nil, errors.New("the blob URL names no bucket: it looks like s3://bucket/prefix")
	}
	if b.prefix != "" {
		b.prefix += "/"
	}
	if b.client, err = minio.New(server.Host, opts); err != nil {
		return nil, fmt.Errorf("blob store at %s: %w", endpoint, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	exists, err := b.client.BucketExists(ctx, b.bucket)
	if err != nil {
		return nil, fmt.Errorf("blob store at %s, bucket %s: %w; check the endpoint, region and credentials", endpoint, b.bucket, err)
	}
	if !exists {
		return nil, fmt.Errorf("blob store at %s: there is no bucket %s; make it, or check the name", endpoint, b.bucket)
	}
	return b, nil
}

// bucketCredentials finds credentials as every S3 program does.
func bucketCredentials() *credentials.Credentials {
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{},
		&credentials.FileAWSCredentials{Profile: os.Getenv("AWS_PROFILE")},
		&credentials.IAM{},
	})
}

// Close does nothing: connections close when idle.
func (*BlobBucket) Close() error { return nil }

// partSize is what a part of an upload holds, in bytes. A source that cannot be
// read again is buffered part by part; S3 takes 10,000 parts of 5 MiB at least
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
const partSize = 8 << 20

// Put implements [Blobs].
func (b *BlobBucket) Put(ctx context.Context, key string, r io.Reader) error {
	if err := validKey(key); err != nil {
		return err
	}
	size, err := rewound(r)
	if err != nil {
		return fmt.Errorf("blob %s: %w", key, err)
	}
	opts := minio.PutObjectOptions{ContentType: "application/octet-stream", PartSize: partSize, NumThreads: 1}
	// Some servers refuse nothing at all signed in chunks.
	opts.DisableContentSha256 = size == 0
	if _, err := b.client.PutObject(ctx, b.bucket, b.prefix+key, r, size, opts); err != nil {
		return fmt.Errorf("blob %s: %w", key, err)
	}
	return nil
}

// objectBlob is an open object. Reads ask for the rest from where they are.
type objectBlob struct {
	*minio.Object
	size int64
}

// Size implements [Blob].
func (b *objectBlob) Size() int64 { return b.size }

// Open implements [Blobs].
func (b *BlobBucket) Open(ctx context.Context, key string) (Blob, error) {
	if err := validKey(key); err != nil {
		return nil, err
	}
	object, err := b.client.GetObject(ctx, b.bucket, b.prefix+key, minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", key, missing(err))
	}
	// Only the first use makes a request.
	info, err := object.Stat()
	if err != nil {
		_ = object.Close()
		return nil, fmt.Errorf("blob %s: %w", key, missing(err))
	}
	return &objectBlob{Object: object, size: info.Size}, nil
}

// missing makes an object that is not there ErrNoBlob.
func missing(err error) error {
	if res := minio.ToErrorResponse(err); res.Code == minio.NoSuchKey || res.StatusCode == http.StatusNotFound && res.Code != minio.NoSuchBucket {
		return fmt.Errorf("%w: %w", ErrNoBlob, err)
	}
	return err
}

// Delete implements [Blobs].
func (b *BlobBucket) Delete(ctx context.Context, key string) error {
	if err := validKey(key); err != nil {
		return err
	}
	err := b.client.RemoveObject(ctx, b.bucket, b.prefix+key, minio.RemoveObjectOptions{})
	if err != nil && !errors.Is(missing(err), ErrNoBlob) {
		return fmt.Errorf("blob %s: %w", key, err)
	}
	return nil
}

// List implements [Blobs].
func (b *BlobBucket) List(ctx context.Context, prefix string, each func(BlobInfo) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing when each fails
	for object := range b.client.ListObjectsIter(ctx, b.bucket, minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true}) {
		if object.Err != nil {
			return fmt.Errorf("listing blobs: %w", object.Err)
		}
		info := BlobInfo{Key: strings.TrimPrefix(object.Key, b.prefix), Size: object.Size, StoredAt: object.LastModified}
		if err := each(info); err != nil {
			return err
		}
	}
	return nil
}
