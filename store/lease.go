package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Lease is the right to do what only one process may do, until it runs out. The
// database's clock judges it, never the holder's.
//
// A holder that was frozen does not know that its lease ran out; what keeps it
// from doing harm is the epoch, which rises each time somebody takes the lease.
// Every transaction that needs the lease names the epoch it believes in and
// rolls back with [ErrFenced] when that is over.
type Lease struct {
	Name  string
	Owner string
	// Epoch rises by one with each holder.
	Epoch int64
	// Until is when it runs out unless renewed, by the database's clock. A lease
	// that ran out is still its holder's until somebody else takes it.
	Until time.Time
}

// AcquireLease takes the lease of that name for ttl if nobody holds it. It
// reports false when somebody does: also when that is owner itself, so an owner
// names one process's life, not a host.
func (db *DB) AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (Lease, bool, error) {
	// An upsert would lock the row even where its condition fails, and so make
	// everybody who only asks wait for the holder's transactions.
	const sql = `
WITH made AS (
    INSERT INTO parley_leases (name, epoch, owner, lease_until)
    SELECT $1, 1, $2, clock_timestamp() + $3::interval
     WHERE NOT EXISTS (SELECT FROM parley_leases WHERE name = $1)
    ON CONFLICT DO NOTHING
    RETURNING epoch, lease_until
), taken AS (
    UPDATE parley_leases
       SET epoch = epoch + 1, owner = $2, lease_until = clock_timestamp() + $3::interval
     WHERE name = $1 AND lease_until <= clock_timestamp()
    RETURNING epoch, lease_until
)
SELECT epoch, lease_until FROM made UNION ALL SELECT epoch, lease_until FROM taken`
	lease := Lease{Name: name, Owner: owner}
	err := db.worker.QueryRow(ctx, sql, name, owner, ttl).Scan(&lease.Epoch, &lease.Until)
	if errors.Is(err, pgx.ErrNoRows) {
		return Lease{}, false, nil
	}
	if err != nil {
		return Lease{}, false, fmt.Errorf("acquiring lease %s: %w", name, err)
	}
	return lease, true, nil
}

// RenewLease makes the lease last for ttl from now and returns it so. ErrFenced
// says that somebody else took it.
func (db *DB) RenewLease(ctx context.Context, lease Lease, ttl time.Duration) (Lease, error) {
	err := db.worker.QueryRow(ctx, `
UPDATE parley_leases SET lease_until = clock_timestamp() + $3::interval
 WHERE name = $1 AND epoch = $2
RETURNING lease_until`, lease.Name, lease.Epoch, ttl).Scan(&lease.Until)
	if errors.Is(err, pgx.ErrNoRows) {
		return lease, fmt.Errorf("renewing lease %s: %w", lease.Name, ErrFenced)
	}
	if err != nil {
		return lease, fmt.Errorf("renewing lease %s: %w", lease.Name, err)
	}
	return lease, nil
}

// ReleaseLease gives the lease back, so that the next holder need not wait for
// it to run out. Releasing what somebody else has taken does nothing.
func (db *DB) ReleaseLease(ctx context.Context, lease Lease) error {
	_, err := db.worker.Exec(ctx, `
UPDATE parley_leases SET lease_until = '-infinity', owner = NULL
 WHERE name = $1 AND epoch = $2`, lease.Name, lease.Epoch)
	if err != nil {
		return fmt.Errorf("releasing lease %s: %w", lease.Name, err)
	}
	return nil
}

// LiveLeases lists the leases held now whose name starts with prefix, by name.
func (db *DB) LiveLeases(ctx context.Context, prefix string) ([]Lease, error) {
	rows, _ := db.worker.Query(ctx, `
SELECT name, coalesce(owner, '') AS owner, epoch, lease_until AS until FROM parley_leases
 WHERE starts_with(name, $1) AND lease_until > clock_timestamp() ORDER BY name`, prefix)
	leases, err := pgx.CollectRows(rows, pgx.RowToStructByName[Lease])
	if err != nil {
		return nil, fmt.Errorf("listing leases %s: %w", prefix, err)
	}
	return leases, nil
}

// CountLeases counts the leases held now whose name starts with prefix.
func (db *DB) CountLeases(ctx context.Context, prefix string) (int, error) {
	leases, err := db.LiveLeases(ctx, prefix)
	return len(leases), err
}

// SweepLeases removes the leases whose name starts with prefix and that ran out
// at least age ago. Only for names that nobody takes again: epochs start over.
func (db *DB) SweepLeases(ctx context.Context, prefix string, age time.Duration) error {
	_, err := db.worker.Exec(ctx, `
DELETE FROM parley_leases WHERE starts_with(name, $1) AND lease_until < clock_timestamp() - $2::interval`, prefix, age)
	if err != nil {
		return fmt.Errorf("sweeping leases %s: %w", prefix, err)
	}
	return nil
}
