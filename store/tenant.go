package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	// SuspendedAt is since when nobody of it may log in and its channels are
	// paused, nil when they are not.
	SuspendedAt *time.Time `json:"suspended_at,omitempty"`
	Version     int64      `json:"version"`
}

const tenantColumns = "id::text AS id, name, created_at, suspended_at, version"

// Keys of the transaction-level advisory locks that stand in for a unique index
// where there is none. They are arbitrary and only must differ.
const (
	lockDefaultTenant = 0x7061726c01
	lockOperator      = 0x7061726c02
	lockChannelName   = 0x7061726c03
	lockTenantName    = 0x7061726c04
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

// AddTenant adds a business whose name no other one has, for the operator. The same
// key returns the tenant that it made before. It fails with Conflict when there is
// one of that name.
func (db *DB) AddTenant(ctx context.Context, by inbox.Actor, name, key string) (t Tenant, err error) {
	name = strings.TrimSpace(name)
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		if err := lockTenantNames(ctx, tx); err != nil {
			return err
		}
		if key != "" {
			rows, _ := tx.Query(ctx, "SELECT "+tenantColumns+" FROM tenants WHERE idempotency_key = $1", key)
			if t, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Tenant]); !errors.Is(err, pgx.ErrNoRows) {
				if err == nil && t.Version == 1 && t.Name != name {
					err = keyReused()
				}
				return err
			}
		}
		if err := tenantNameIsNew(ctx, tx, name, ""); err != nil {
			return err
		}
		if t, err = createTenant(ctx, tx, name); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE tenants SET idempotency_key = nullif($2, '') WHERE id = $1", string(t.ID), key); err != nil {
			return err
		}
		return noteTenant(ctx, tx, by, "tenant.add", t)
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("adding a tenant: %w", err)
	}
	return t, nil
}

// lockTenantNames lets nobody else name a tenant until the transaction ends.
func lockTenantNames(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockTenantName))
	return err
}

// tenantNameIsNew refuses a second tenant of one name: people log in by it. It is
// called with lockTenantNames.
func tenantNameIsNew(ctx context.Context, tx pgx.Tx, name string, self events.TenantID) error {
	var taken bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM tenants WHERE lower(name) = lower($1) AND id::text <> $2)", name, string(self)).Scan(&taken); err != nil {
		return err
	}
	if taken {
		return &inbox.Error{Code: inbox.Conflict, Message: fmt.Sprintf("There is a tenant named %q already.", name), Hint: "People log in by it: give this one another name."}
	}
	return nil
}

// noteTenant writes what the operator did with a tenant into that tenant's log.
func noteTenant(ctx context.Context, tx pgx.Tx, by inbox.Actor, action string, t Tenant) error {
	if _, err := tx.Exec(ctx, "SELECT set_config('parley.tenant', $1, true)", string(t.ID)); err != nil {
		return err
	}
	return appendAudit(ctx, tx, by, NewAuditEntry{Action: action, TargetKind: "tenant", TargetID: string(t.ID), Detail: map[string]any{"name": t.Name}})
}

// RenameTenant gives a tenant another name. It fails with Conflict when another one
// has it, and with Changed when it is not at the version that was read, 0 for any.
func (db *DB) RenameTenant(ctx context.Context, tenant events.TenantID, by inbox.Actor, name string, ifVersion int64) (Tenant, error) {
	name = strings.TrimSpace(name)
	return db.changeTenant(ctx, tenant, by, "tenant.rename", func(tx pgx.Tx, was Tenant) error {
		if err := sameVersion(ifVersion, was.Version, "The tenant"); err != nil {
			return err
		}
		if name == "" {
			return &inbox.Error{Code: inbox.Invalid, Message: "A tenant needs a name."}
		}
		if err := tenantNameIsNew(ctx, tx, name, tenant); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE tenants SET name = $2, version = version + 1 WHERE id = $1", string(tenant), name)
		return err
	})
}

// SuspendTenant lets nobody of a tenant log in and pauses its channels, at once, or
// takes that back. Sessions and tokens work again then, unless they expired; channels
// that were paused by hand stay so.
func (db *DB) SuspendTenant(ctx context.Context, tenant events.TenantID, by inbox.Actor, suspended bool) (Tenant, error) {
	action := "tenant.resume"
	if suspended {
		action = "tenant.suspend"
	}
	return db.changeTenant(ctx, tenant, by, action, func(tx pgx.Tx, was Tenant) error {
		if suspended == (was.SuspendedAt != nil) {
			return errRepeated
		}
		if _, err := tx.Exec(ctx, "UPDATE tenants SET suspended_at = CASE WHEN $2 THEN now() END, version = version + 1 WHERE id = $1", string(tenant), suspended); err != nil {
			return err
		}
		// Gateways and dispatchers notice by the version.
		if _, err := tx.Exec(ctx, "UPDATE parley_channels SET version = version + 1, updated_at = now() WHERE tenant_id = $1", string(tenant)); err != nil {
			return err
		}
		// Streams that are open end.
		_, err := tx.Exec(ctx, "SELECT pg_notify('parley_access', $1)", string(tenant))
		return err
	})
}

// changeTenant locks a tenant, has f change it, and notes that as action, unless f
// says errRepeated. It fails with NotFound.
func (db *DB) changeTenant(ctx context.Context, tenant events.TenantID, by inbox.Actor, action string, f func(pgx.Tx, Tenant) error) (t Tenant, err error) {
	if err := validTenant(tenant); err != nil {
		return Tenant{}, err
	}
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		if err := lockTenantNames(ctx, tx); err != nil {
			return err
		}
		if t, err = oneTenant(ctx, tx, tenant, "FOR NO KEY UPDATE"); err != nil {
			return err
		}
		if err := f(tx, t); err != nil {
			if errors.Is(err, errRepeated) {
				return nil
			}
			return err
		}
		if t, err = oneTenant(ctx, tx, tenant, ""); err != nil {
			return err
		}
		return noteTenant(ctx, tx, by, action, t)
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("changing a tenant: %w", err)
	}
	return t, nil
}

func oneTenant(ctx context.Context, tx pgx.Tx, tenant events.TenantID, lock string) (Tenant, error) {
	rows, _ := tx.Query(ctx, "SELECT "+tenantColumns+" FROM tenants WHERE id = $1 "+lock, string(tenant))
	t, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Tenant])
	if errors.Is(err, pgx.ErrNoRows) {
		return t, noTenant(tenant)
	}
	return t, err
}

func noTenant(t events.TenantID) error {
	return &inbox.Error{
		Code: inbox.NotFound, Message: fmt.Sprintf("There is no tenant %q.", t),
		Hint: "Tenants are named by their UUID; list them to see it.",
	}
}

// validTenant refuses what is no UUID, which PostgreSQL would report as broken
// syntax.
func validTenant(t events.TenantID) error {
	if _, err := uuid.Parse(string(t)); err != nil {
		return noTenant(t)
	}
	return nil
}
