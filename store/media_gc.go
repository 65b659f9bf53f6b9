package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// sweepBatch is how many rows or keys one step of a sweep looks at.
const sweepBatch = 500

// sqlUnused finds uploads of Parley's own that no message has, from id $1 on.
const sqlUnused = `
SELECT u.id FROM (
    SELECT id FROM core_uploads WHERE id > $1 AND managed AND created_at < clock_timestamp() - $2::interval
     ORDER BY id LIMIT $3) u
 WHERE NOT EXISTS (SELECT FROM crm_chat_message_attachments a WHERE a.upload_id = u.id)
   AND NOT EXISTS (SELECT FROM parley_media m WHERE m.upload_id = u.id)`

// SweepUploads removes the rows of uploads that no message has and that are older
// than age: what was erased, and what an agent never sent. It returns how many.
// Their blobs are left to [DB.UnusedBlobs].
func (db *DB) SweepUploads(ctx context.Context, age time.Duration) (removed int64, err error) {
	for after := int64(0); ; {
		var ids []int64
		var last *int64
		err := db.asWorker(ctx, func(tx pgx.Tx) error {
			rows, _ := tx.Query(ctx, sqlUnused, after, age, sweepBatch)
			if ids, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
				return err
			}
			return tx.QueryRow(ctx, `SELECT max(id) FROM (
				SELECT id FROM core_uploads WHERE id > $1 AND managed AND created_at < clock_timestamp() - $2::interval
				 ORDER BY id LIMIT $3) u`, after, age, sweepBatch).Scan(&last)
		})
		if err != nil {
			return removed, fmt.Errorf("looking for unused files: %w", err)
		}
		if last == nil {
			return removed, nil
		}
		after = *last
		for _, id := range ids {
			// One by one: a message, or another program's table, may have got one
			// meanwhile, and its foreign key says so.
			var gone int64
			err := db.asWorker(ctx, func(tx pgx.Tx) error {
				tag, err := tx.Exec(ctx, "DELETE FROM core_uploads WHERE id = $1", id)
				gone = tag.RowsAffected()
				return err
			})
			if err != nil && !IsConstraintError(err) {
				return removed, fmt.Errorf("removing an unused file's row: %w", err)
			}
			if err == nil {
				removed += gone
			}
		}
	}
}

// UnusedBlobs returns those of keys that no row names: neither an upload nor, for
// payloads, a message or an event that is kept for later.
func (db *DB) UnusedBlobs(ctx context.Context, keys []string) (unused []string, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			SELECT k FROM unnest($1::text[]) AS k
			 WHERE NOT EXISTS (SELECT FROM core_uploads u WHERE u.blob_key = k)
			   AND NOT EXISTS (SELECT FROM core_uploads u WHERE u.thumbnail_key = k)
			   AND NOT EXISTS (SELECT FROM parley_resumable_parts r WHERE r.blob_key = k)
			   AND NOT EXISTS (SELECT FROM parley_payloads p WHERE p.blob_key = k)
			   AND (NOT starts_with(k, 'raw/') OR (
			           NOT EXISTS (SELECT FROM parley_ignored i WHERE i.event->>'raw_ref' = k)
			       AND NOT EXISTS (SELECT FROM parley_updates u WHERE u.event->>'raw_ref' = k)
			       AND NOT EXISTS (SELECT FROM parley_quarantine q WHERE q.replayed_at IS NULL
			                          AND position(convert_to(k, 'UTF8') IN q.event) > 0)))`, keys)
		unused, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for unused blobs: %w", err)
	}
	return unused, nil
}

// SweepBlobs removes blobs below prefix that are older than age and that no row
// names, and returns how many. An older age than anything takes between a blob
// and its row is what makes it safe. Only one process should do it at a time, to
// spare the store the work.
func (db *DB) SweepBlobs(ctx context.Context, blobs Blobs, prefix string, age time.Duration) (removed int64, err error) {
	var keys []string
	step := func() error {
		if len(keys) == 0 {
			return nil
		}
		unused, err := db.UnusedBlobs(ctx, keys)
		if err != nil {
			return err
		}
		for _, key := range unused {
			if err := blobs.Delete(ctx, key); err != nil {
				return err
			}
			removed++
		}
		keys = keys[:0]
		return nil
	}
	err = blobs.List(ctx, prefix, func(i BlobInfo) error {
		if time.Since(i.StoredAt) < age {
			return nil
		}
		if keys = append(keys, i.Key); len(keys) < sweepBatch {
			return nil
		}
		return step()
	})
	if err == nil {
		err = step()
	}
	if err != nil {
		return removed, fmt.Errorf("removing unused blobs: %w", err)
	}
	return removed, nil
}
