package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// User is somebody who works for the tenant.
type User struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// operatorEmail marks the default operator's row. The domain can never exist
// (RFC 2606, section 2), so no real colleague is taken for the operator.
const operatorEmail = "operator@parley.invalid"

// EnsureOperator returns the tenant's default operator, in whose name the local
// command line answers, and makes them at first. Replicas agree on one.
func (db *DB) EnsureOperator(ctx context.Context, tenant events.TenantID) (u User, err error) {
	if err := validTenant(tenant); err != nil {
		return User{}, err
	}
	const find = "SELECT id, name FROM core_users WHERE tenant_id = $1 AND lower(email) = $2"
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		one := func(sql string, args ...any) error {
			rows, _ := tx.Query(ctx, sql, args...)
			u, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[User])
			return err
		}
		if err := one(find, tenant, operatorEmail); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		// Locked before inserting: a conflict would burn an id of the sequence.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockOperator)); err != nil {
			return err
		}
		if err := one(find, tenant, operatorEmail); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return one("INSERT INTO core_users (tenant_id, name, email) VALUES ($1, 'Operator', $2) RETURNING id, name",
			tenant, operatorEmail)
	})
	if err != nil {
		return User{}, fmt.Errorf("making sure of the operator: %w", err)
	}
	return u, nil
}
