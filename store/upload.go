package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// NewUpload is a file whose bytes are in the blob store.
type NewUpload struct {
	// BlobKey is where; empty to share the blob of the tenant's upload with the
	// same SHA256.
	BlobKey string
	Name    string
	MIME    string
	// Size is in bytes, Width and Height in pixels, 0 where there are none.
	Size          int64
	SHA256        [32]byte
	Width, Height int
	// ThumbnailKey is where its small picture is, empty when there is none.
	ThumbnailKey string
	// Key makes a repeated request store one file only; optional.
	Key string
}

// ErrNoSameUpload says that the upload whose blob was to be shared is gone: store
// the bytes again.
var ErrNoSameUpload = errors.New("no upload with the same bytes")

// MediaPrefix begins the keys of files; the tenant follows.
const MediaPrefix = "media/"

// NewMediaKey is a key that nothing was ever stored under: a blob that is being
// removed is never one that is being stored.
func NewMediaKey(tenant events.TenantID) string {
	return MediaPrefix + string(tenant) + "/" + strings.ToLower(rand.Text())
}

// HasUpload reports whether the tenant has an upload with these bytes.
func (db *DB) HasUpload(ctx context.Context, tenant events.TenantID, sha256 [32]byte) (has bool, err error) {
	if err := validTenant(tenant); err != nil {
		return false, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM core_uploads WHERE tenant_id = $1 AND sha256 = $2 AND managed)",
			string(tenant), sha256[:]).Scan(&has)
	})
	if err != nil {
		return false, fmt.Errorf("looking for a file: %w", err)
	}
	return has, nil
}

// CreateUpload stores the row of an agent's file. It fails with ErrNoSameUpload,
// and with Conflict when the Key stored another file before.
func (db *DB) CreateUpload(ctx context.Context, tenant events.TenantID, u NewUpload) (up inbox.Upload, err error) {
	if err := validTenant(tenant); err != nil {
		return inbox.Upload{}, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		id, err := uploadOfKey(ctx, tx, tenant, u)
		if err == nil && id == 0 {
			id, err = insertUpload(ctx, tx, tenant, u)
		}
		if err != nil {
			return err
		}
		up, err = uploadByID(ctx, tx, id)
		return err
	})
	if err != nil {
		return inbox.Upload{}, fmt.Errorf("storing a file's row: %w", err)
	}
	return up, nil
}

// uploadOfKey is the id of the upload that the Key made, 0 when it made none.
func uploadOfKey(ctx context.Context, tx pgx.Tx, tenant events.TenantID, u NewUpload) (id int64, err error) {
	if u.Key == "" {
		return 0, nil
	}
	// Two at once: the second waits here for the first.
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", string(tenant)+" upload "+u.Key); err != nil {
		return 0, err
	}
	var same bool
	err = tx.QueryRow(ctx, "SELECT id, sha256 = $2 AND coalesce(name, '') = $3 FROM core_uploads WHERE idempotency_key = $1",
		u.Key, u.SHA256[:], u.Name).Scan(&id, &same)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, nil
	case err == nil && !same:
		return 0, keyReused()
	}
	return id, err
}

// insertUpload writes an upload's row. One that shares a blob holds the row that
// it shares with until the transaction ends, so that the blob is never without
// one.
func insertUpload(ctx context.Context, tx pgx.Tx, tenant events.TenantID, u NewUpload) (id int64, err error) {
	if u.BlobKey != "" {
		err = tx.QueryRow(ctx, `
			INSERT INTO core_uploads (tenant_id, blob_key, name, mime_type, size, sha256, width, height, thumbnail_key, managed, idempotency_key)
			VALUES ($1, $2, nullif($3, ''), $4, $5, $6, nullif($7, 0), nullif($8, 0), nullif($9, ''), true, nullif($10, ''))
			RETURNING id`,
			string(tenant), u.BlobKey, u.Name, u.MIME, u.Size, u.SHA256[:], u.Width, u.Height, u.ThumbnailKey, u.Key).Scan(&id)
		return id, err
	}
	err = tx.QueryRow(ctx, `
		INSERT INTO core_uploads (tenant_id, blob_key, name, mime_type, size, sha256, width, height, thumbnail_key, managed, idempotency_key)
		SELECT tenant_id, blob_key, nullif($3, ''), $4, size, sha256, width, height, thumbnail_key, true, nullif($5, '')
		  FROM (SELECT * FROM core_uploads WHERE tenant_id = $1 AND sha256 = $2 AND managed
		         ORDER BY id LIMIT 1 FOR KEY SHARE) same
		RETURNING id`, string(tenant), u.SHA256[:], u.Name, u.MIME, u.Key).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, ErrNoSameUpload
	}
	return id, err
}

const uploadColumns = `u.id, coalesce(u.name, ''), coalesce(u.mime_type, ''), coalesce(u.size, 0),
	coalesce(u.width, 0), coalesce(u.height, 0), u.created_at, u.blob_key, coalesce(u.thumbnail_key, '')`

func scanUpload(row pgx.CollectableRow) (u inbox.Upload, err error) {
	err = row.Scan(&u.ID, &u.Name, &u.MIME, &u.Size, &u.Width, &u.Height, &u.CreatedAt, &u.BlobKey, &u.ThumbnailKey)
	u.Thumbnail = u.ThumbnailKey != ""
	return u, err
}

// Upload returns one of the tenant's uploads, or NotFound.
func (db *DB) Upload(ctx context.Context, tenant events.TenantID, id int64) (u inbox.Upload, err error) {
	if err := validTenant(tenant); err != nil {
		return inbox.Upload{}, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		u, err = uploadByID(ctx, tx, id)
		return err
	})
	if err != nil {
		return inbox.Upload{}, fmt.Errorf("reading a file's row: %w", err)
	}
	return u, nil
}

func uploadByID(ctx context.Context, tx pgx.Tx, id int64) (inbox.Upload, error) {
	us, err := uploadsByID(ctx, tx, []int64{id})
	if err != nil {
		return inbox.Upload{}, err
	}
	return us[0], nil
}

// uploadsByID reads uploads in the order of ids, or fails with NotFound.
func uploadsByID(ctx context.Context, tx pgx.Tx, ids []int64) ([]inbox.Upload, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, _ := tx.Query(ctx, "SELECT "+uploadColumns+" FROM core_uploads u WHERE u.id = ANY ($1::bigint[])", ids)
	found, err := pgx.CollectRows(rows, scanUpload)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64]inbox.Upload, len(found))
	for _, u := range found {
		byID[u.ID] = u
	}
	list := make([]inbox.Upload, len(ids))
	for i, id := range ids {
		u, ok := byID[id]
		if !ok {
			return nil, &inbox.Error{
				Code: inbox.NotFound, Message: fmt.Sprintf("There is no file %d.", id),
				Hint: "Upload it again: files that no message has are removed after a while.",
			}
		}
		list[i] = u
	}
	return list, nil
}
