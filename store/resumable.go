package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

const (
	// PartPrefix begins the keys of what has arrived of files; the tenant follows.
	PartPrefix = "parts/"
	// MaxUnfinished is how many unfinished uploads a tenant may have at once.
	MaxUnfinished = 100
	// MaxUnfinishedBytes is how large those may become together.
	MaxUnfinishedBytes = 10 << 30
	// maxParts bounds the rows and blobs that tiny pieces make.
	maxParts = 2000
	// resumableLife is how long nothing may arrive.
	resumableLife = 24 * time.Hour
)

// NewResumable is a file that is going to arrive.
type NewResumable struct {
	Name, MIME, Metadata string
	// Size is in bytes.
	Size int64
	// Key makes a repeated request begin one upload only; optional.
	Key string
}

// NewPartKey is a key that nothing was ever stored under.
func NewPartKey(tenant events.TenantID) string {
	return PartPrefix + string(tenant) + "/" + strings.ToLower(rand.Text())
}

const resumableColumns = `id::text, name, mime_type, metadata, size, received, coalesce(upload_id, 0), expires_at`

func scanResumable(row pgx.CollectableRow) (r inbox.Resumable, err error) {
	err = row.Scan(&r.ID, &r.Name, &r.MIME, &r.Metadata, &r.Size, &r.Received, &r.Upload, &r.ExpiresAt)
	return r, err
}

func noResumable(id string) *inbox.Error {
	return &inbox.Error{
		Code: inbox.NotFound, Message: fmt.Sprintf("There is no unfinished upload %s.", id),
		Hint: "Begin it anew: what nobody goes on with is removed after a day.",
	}
}

// CreateResumable begins a user's upload. It fails with Conflict when the Key
// began another one, and with Refused when the tenant has too much unfinished.
func (db *DB) CreateResumable(ctx context.Context, tenant events.TenantID, user int64, n NewResumable) (r inbox.Resumable, err error) {
	if err := validTenant(tenant); err != nil {
		return r, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		// One at a time, so that two do not both fit where one does, and a key begins
		// one only.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", string(tenant)+" resumable"); err != nil {
			return err
		}
		if n.Key != "" {
			var same bool
			var id string
			err := tx.QueryRow(ctx, `SELECT id::text, user_id = $2 AND size = $3 AND metadata = $4 FROM parley_resumables WHERE idempotency_key = $1`,
				n.Key, user, n.Size, n.Metadata).Scan(&id, &same)
			switch {
			case err == nil && same:
				r, err = resumable(ctx, tx, user, id)
				return err
			case err == nil:
				return keyReused()
			case !errors.Is(err, pgx.ErrNoRows):
				return err
			}
		}
		var count, bytes int64
		if err := tx.QueryRow(ctx, `SELECT count(*), coalesce(sum(size), 0)::bigint FROM parley_resumables
			WHERE tenant_id = $1 AND upload_id IS NULL AND expires_at > clock_timestamp()`, string(tenant)).Scan(&count, &bytes); err != nil {
			return err
		}
		if count >= MaxUnfinished || bytes+n.Size > MaxUnfinishedBytes {
			return &inbox.Error{
				Code: inbox.Refused, Message: fmt.Sprintf("There are %d unfinished uploads of %d MB together, and no more may begin.", count, bytes>>20),
				Hint: "Finish or cancel some; those that nobody goes on with are removed after a day.",
			}
		}
		rows, _ := tx.Query(ctx, `INSERT INTO parley_resumables (user_id, name, mime_type, metadata, size, idempotency_key, expires_at)
			VALUES ($1, $2, $3, $4, $5, nullif($6, ''), clock_timestamp() + $7::interval) RETURNING `+resumableColumns,
			user, n.Name, n.MIME, n.Metadata, n.Size, n.Key, resumableLife)
		var err error
		r, err = pgx.CollectExactlyOneRow(rows, scanResumable)
		return err
	})
	if err != nil {
		return inbox.Resumable{}, fmt.Errorf("beginning an upload: %w", err)
	}
	return r, nil
}

// resumable reads one of the user's, or fails with NotFound.
func resumable(ctx context.Context, tx pgx.Tx, user int64, id string) (inbox.Resumable, error) {
	if uuid.Validate(id) != nil {
		return inbox.Resumable{}, noResumable(id)
	}
	rows, _ := tx.Query(ctx, "SELECT "+resumableColumns+" FROM parley_resumables WHERE id = $1 AND user_id = $2", id, user)
	r, err := pgx.CollectExactlyOneRow(rows, scanResumable)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, noResumable(id)
	}
	return r, err
}

// Resumable returns one of the user's uploads and the keys of the parts that have
// arrived, in their order; none once it is finished. Anybody else's are NotFound.
func (db *DB) Resumable(ctx context.Context, tenant events.TenantID, user int64, id string) (r inbox.Resumable, parts []string, err error) {
	if err := validTenant(tenant); err != nil {
		return r, nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if r, err = resumable(ctx, tx, user, id); err != nil {
			return err
		}
		parts, err = resumableParts(ctx, tx, id)
		return err
	})
	if err != nil {
		return inbox.Resumable{}, nil, fmt.Errorf("reading an upload: %w", err)
	}
	return r, parts, nil
}

func resumableParts(ctx context.Context, tx pgx.Tx, id string) ([]string, error) {
	rows, _ := tx.Query(ctx, "SELECT blob_key FROM parley_resumable_parts WHERE resumable_id = $1 ORDER BY start", id)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// MovedOn says that somebody else sent the same bytes first.
func MovedOn(r inbox.Resumable, offset int64) error {
	return &inbox.Error{
		Code: inbox.Conflict, Message: fmt.Sprintf("These bytes begin at %d, and %d have arrived.", offset, r.Received),
		Hint: "Ask with HEAD how far it is, and go on from there, with one request at a time.",
	}
}

// AddPart counts size bytes at offset as arrived: the blob at key. It fails with
// Conflict when they are not the next ones, which another request may have sent
// meanwhile; of two at once one wins.
func (db *DB) AddPart(ctx context.Context, tenant events.TenantID, user int64, id string, offset, size int64, key string) (inbox.Resumable, error) {
	r, err := db.advance(ctx, tenant, user, id, offset, func(tx pgx.Tx) error {
		var parts int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM parley_resumable_parts WHERE resumable_id = $1", id).Scan(&parts); err != nil {
			return err
		}
		if parts >= maxParts {
			return &inbox.Error{
				Code: inbox.Refused, Message: fmt.Sprintf("This upload has come in %d pieces, and no more are taken.", parts),
				Hint: "Begin it anew, and send larger pieces.",
			}
		}
		if _, err := tx.Exec(ctx, "INSERT INTO parley_resumable_parts (resumable_id, start, blob_key) VALUES ($1, $2, $3)", id, offset, key); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE parley_resumables SET received = received + $2, expires_at = clock_timestamp() + $3::interval WHERE id = $1", id, size, resumableLife)
		return err
	})
	if err != nil {
		return r, fmt.Errorf("counting what arrived: %w", err)
	}
	return r, nil
}

// FinishResumable says what the file became whose last bytes were sent at offset.
// It fails like AddPart. The parts are nobody's then.
func (db *DB) FinishResumable(ctx context.Context, tenant events.TenantID, user int64, id string, offset, upload int64) (inbox.Resumable, error) {
	r, err := db.advance(ctx, tenant, user, id, offset, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM parley_resumable_parts WHERE resumable_id = $1", id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE parley_resumables SET received = size, upload_id = $2, expires_at = clock_timestamp() + $3::interval WHERE id = $1",
			id, upload, resumableLife)
		return err
	})
	if err != nil {
		return r, fmt.Errorf("finishing an upload: %w", err)
	}
	return r, nil
}

// advance changes an upload of which offset bytes have arrived.
func (db *DB) advance(ctx context.Context, tenant events.TenantID, user int64, id string, offset int64, change func(pgx.Tx) error) (r inbox.Resumable, err error) {
	if err := validTenant(tenant); err != nil {
		return r, err
	}
	if uuid.Validate(id) != nil {
		return r, noResumable(id)
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT FROM parley_resumables WHERE id = $1 AND user_id = $2 FOR UPDATE", id, user); err != nil {
			return err
		}
		if r, err = resumable(ctx, tx, user, id); err != nil {
			return err
		}
		if r.Received != offset || r.Upload != 0 {
			return MovedOn(r, offset)
		}
		if err := change(tx); err != nil {
			return err
		}
		r, err = resumable(ctx, tx, user, id)
		return err
	})
	return r, err
}

// CancelResumable forgets one of the user's uploads, and returns the keys of what
// had arrived of it. What it became, if it was finished, stays.
func (db *DB) CancelResumable(ctx context.Context, tenant events.TenantID, user int64, id string) (parts []string, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if _, err := resumable(ctx, tx, user, id); err != nil {
			return err
		}
		if parts, err = resumableParts(ctx, tx, id); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM parley_resumables WHERE id = $1", id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cancelling an upload: %w", err)
	}
	return parts, nil
}

// SweepResumables forgets the uploads that nobody went on with, and returns how
// many. Their parts are left to [DB.UnusedBlobs].
func (db *DB) SweepResumables(ctx context.Context) (removed int64, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "DELETE FROM parley_resumables WHERE expires_at < clock_timestamp()")
		removed = tag.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("removing unfinished uploads: %w", err)
	}
	return removed, nil
}
