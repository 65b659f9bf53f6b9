package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// TenantRemoval is a tenant that was removed, and what is left to do outside of the
// database.
type TenantRemoval struct {
	ID events.TenantID
	At time.Time
	// Rows are how many of it were in each table.
	Rows map[string]int64
	// Blobs that no row names any more, unless another tenant has the same bytes.
	Blobs []string
}

// RemoveTenant removes a tenant and every row of it, and keeps only that it did. A
// row that comes while it does fails by its reference. What is left outside is the
// caller's, and is kept until [DB.FinishTenantRemoval]. It fails with NotFound.
func (db *DB) RemoveTenant(ctx context.Context, tenant events.TenantID) (r TenantRemoval, err error) {
	if err := validTenant(tenant); err != nil {
		return TenantRemoval{}, err
	}
	for range mergeTries {
		err = db.asWorker(ctx, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SELECT set_config('statement_timeout', '0', true)"); err != nil {
				return err
			}
			if _, err := oneTenant(ctx, tx, tenant, "FOR UPDATE"); err != nil {
				return err
			}
			r, err = removeTenant(ctx, tx, tenant)
			return err
		})
		if sqlState(err) != sqlStateDeadlock {
			break
		}
	}
	if err != nil {
		return TenantRemoval{}, fmt.Errorf("removing a tenant: %w", err)
	}
	return r, nil
}

func removeTenant(ctx context.Context, tx pgx.Tx, tenant events.TenantID) (r TenantRemoval, err error) {
	r.ID = tenant
	// As the catalog has them, so that none is forgotten.
	rows, _ := tx.Query(ctx, `SELECT c.relname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
		WHERE p.polname = 'parley_tenant' AND c.relname <> 'tenants' ORDER BY 1`)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return r, err
	}
	count := func() (map[string]int64, error) {
		all := map[string]int64{}
		for _, table := range tables {
			var n int64
			if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{table}.Sanitize()+" WHERE tenant_id = $1", string(tenant)).Scan(&n); err != nil {
				return nil, err
			}
			if n > 0 {
				all[table] = n
			}
		}
		return all, nil
	}
	if r.Rows, err = count(); err != nil {
		return r, err
	}
	rows, _ = tx.Query(ctx, `SELECT DISTINCT key FROM (
		SELECT blob_key FROM core_uploads WHERE tenant_id = $1
		UNION ALL SELECT thumbnail_key FROM core_uploads WHERE tenant_id = $1
		UNION ALL SELECT blob_key FROM parley_resumable_parts WHERE tenant_id = $1
		UNION ALL SELECT blob_key FROM parley_payloads WHERE tenant_id = $1) k (key) WHERE key <> ''`, string(tenant))
	if r.Blobs, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return r, err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM parley_leases l USING parley_channels c WHERE c.tenant_id = $1 AND l.name = 'dispatch:' || c.id`, string(tenant)); err != nil {
		return r, err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM tenants WHERE id = $1", string(tenant)); err != nil {
		return r, err
	}
	// What does not hang on the tenant's row, such as facts on their way.
	left, err := count()
	if err != nil {
		return r, err
	}
	for _, table := range slices.Sorted(maps.Keys(left)) {
		if _, err := tx.Exec(ctx, "DELETE FROM "+pgx.Identifier{table}.Sanitize()+" WHERE tenant_id = $1", string(tenant)); err != nil {
			return r, err
		}
	}
	if err := emptyOrphans(ctx, tx, tenant); err != nil {
		return r, err
	}
	blobs := r.Blobs
	if blobs == nil {
		blobs = []string{}
	}
	return r, tx.QueryRow(ctx, `INSERT INTO parley_removed_tenants AS p (id, at, todo) VALUES ($1, clock_timestamp(), $2)
		ON CONFLICT (id) DO UPDATE SET at = excluded.at, todo = excluded.todo RETURNING at`, string(tenant), blobs).Scan(&r.At)
}

// emptyOrphans takes out what came for a tenant when it was gone: the rows stay,
// because the ledger counts them.
func emptyOrphans(ctx context.Context, tx pgx.Tx, tenant events.TenantID) error {
	_, err := tx.Exec(ctx, `
		UPDATE parley_quarantine SET event = $2, reason = 'Erased with its tenant.', replayed_at = coalesce(replayed_at, now()), replay_outcome = coalesce(replay_outcome, 'erased')
		 WHERE tenant_id IS NULL AND position(convert_to($1, 'UTF8') IN event) > 0`, string(tenant), []byte(erasedEvent))
	return err
}

// PendingTenantRemovals lists tenants that were removed at least age ago and have
// something left outside of the database.
func (db *DB) PendingTenantRemovals(ctx context.Context, age time.Duration, limit int) (list []TenantRemoval, err error) {
	rows, _ := db.worker.Query(ctx, `SELECT id::text, at, todo FROM parley_removed_tenants
		WHERE todo IS NOT NULL AND at < clock_timestamp() - $1::interval ORDER BY at LIMIT $2`, age, limit)
	var r TenantRemoval
	if _, err = pgx.ForEachRow(rows, []any{&r.ID, &r.At, &r.Blobs}, func() error {
		list = append(list, r)
		r.Blobs = nil
		return nil
	}); err != nil {
		return nil, fmt.Errorf("looking for removals under way: %w", err)
	}
	return list, nil
}

// FinishTenantRemoval takes out what came for the tenant since, and notes that
// nothing is left.
func (db *DB) FinishTenantRemoval(ctx context.Context, tenant events.TenantID) error {
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		if err := emptyOrphans(ctx, tx, tenant); err != nil {
			return err
		}
		// Those of a batch that ended after it.
		if _, err := tx.Exec(ctx, "DELETE FROM parley_facts WHERE tenant_id = $1 AND NOT EXISTS (SELECT FROM tenants WHERE id = $1)", string(tenant)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE parley_removed_tenants SET todo = NULL WHERE id = $1", string(tenant))
		return err
	})
	if err != nil {
		return fmt.Errorf("finishing a tenant's removal: %w", err)
	}
	return nil
}

// UnremovedTenants returns those of the tenants that the database does not know to
// be removed: it was restored from a backup that is older.
func (db *DB) UnremovedTenants(ctx context.Context, ids []events.TenantID) (unknown []events.TenantID, err error) {
	rows, _ := db.worker.Query(ctx, `SELECT i::text FROM unnest($1::uuid[]) i
		WHERE NOT EXISTS (SELECT FROM parley_removed_tenants r WHERE r.id = i) OR EXISTS (SELECT FROM tenants t WHERE t.id = i)`, ids)
	if unknown, err = pgx.CollectRows(rows, pgx.RowTo[events.TenantID]); err != nil {
		return nil, fmt.Errorf("comparing removed tenants: %w", err)
	}
	return unknown, nil
}
