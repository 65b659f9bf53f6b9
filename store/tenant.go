package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Tenant is one business.
type Tenant struct {
	ID        events.TenantID `json:"id"`
	Name      string          `json:"name"`
	CreatedAt time.Time       `json:"created_at"`
}

const tenantColumns = "id::text AS id, name, created_at"

// Keys of the transaction-level advisory locks that stand in for a unique index
// where there is none. They are arbitrary and only must differ.
const (
	lockDefaultTenant = 0x7061726c01
	lockOperator      = 0x7061726c02
	lockChannelName   = 0x7061726c03
)

// CreateTenant adds a business of that name. Names need not be unique.
func (db *DB) CreateTenant(ctx context.Context, name string) (t Tenant, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		t, err = createTenant(ctx, tx, name)
		return err
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("creating a tenant: %w", err)
	}
	return t, nil
}

// EnsureTenant makes a tenant of that name when there is none at all, and
// returns the oldest. Replicas that start at once agree on one.
func (db *DB) EnsureTenant(ctx context.Context, name string) (t Tenant, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		// Without the lock two replicas would both find nothing.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockDefaultTenant)); err != nil {
			return err
		}
		rows, _ := tx.Query(ctx, "SELECT "+tenantColumns+" FROM tenants ORDER BY created_at, id LIMIT 1")
		t, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Tenant])
		if errors.Is(err, pgx.ErrNoRows) {
			t, err = createTenant(ctx, tx, name)
		}
		return err
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("making sure of a tenant: %w", err)
	}
	return t, nil
}

func createTenant(ctx context.Context, tx pgx.Tx, name string) (Tenant, error) {
	rows, _ := tx.Query(ctx, "INSERT INTO tenants (name) VALUES ($1) RETURNING "+tenantColumns, name)
	t, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Tenant])
	if sqlState(err) == sqlStateCheck {
		return Tenant{}, &inbox.Error{Code: inbox.Invalid, Message: "A tenant needs a name.", Err: err}
	}
	return t, err
}

// Tenants lists all tenants, the oldest first. It is for the operator: no tenant
// may see its result.
func (db *DB) Tenants(ctx context.Context) (ts []Tenant, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, "SELECT "+tenantColumns+" FROM tenants ORDER BY created_at, id")
		ts, err = pgx.CollectRows(rows, pgx.RowToStructByName[Tenant])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing tenants: %w", err)
	}
	return ts, nil
}

// validTenant refuses what is no UUID, which PostgreSQL would report as broken
// syntax.
func validTenant(t events.TenantID) error {
	if _, err := uuid.Parse(string(t)); err != nil {
		return &inbox.Error{
			Code: inbox.NotFound, Message: fmt.Sprintf("There is no tenant %q.", t),
			Hint: "Tenants are named by their UUID; list them to see it.",
		}
	}
	return nil
}
