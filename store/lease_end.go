package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// EndLeases makes every lease run out now, so that a process that follows one
// that was killed need not wait. Only who knows that no other process uses the
// database may call it; whoever does anyway costs the holders a batch, for
// epochs still fence them.
func (db *DB) EndLeases(ctx context.Context) error {
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE parley_leases SET lease_until = '-infinity' WHERE lease_until > clock_timestamp()"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE parley_partitions SET lease_until = '-infinity' WHERE lease_until > clock_timestamp()")
		return err
	})
	if err != nil {
		return fmt.Errorf("ending leases: %w", err)
	}
	return nil
}
