package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// throttleMemory is how long failed log-ins are remembered.
const throttleMemory = 24 * time.Hour

// LoginWait reports how long the ones behind these keys must wait before they
// may try to log in again, the longest of them; 0 when they need not.
func (db *DB) LoginWait(ctx context.Context, keys ...[32]byte) (wait time.Duration, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT coalesce(max(blocked_until) - now(), '0') FROM parley_throttle WHERE key = ANY ($1) AND blocked_until > now()`,
			bytesOf(keys)).Scan(&wait)
	})
	if err != nil {
		return 0, fmt.Errorf("looking who must wait: %w", err)
	}
	return wait, nil
}

// LoginTry counts a try of a key, as a failure until LoginSucceeded forgets it, and
// makes the key wait as delay says for that many. It returns how long the key must
// wait already; such a try is not counted, and must not be made. Tries at the same
// time are counted one after the other, in all replicas.
func (db *DB) LoginTry(ctx context.Context, key [32]byte, delay func(failures int) time.Duration) (wait time.Duration, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		n, err := countFailure(ctx, tx, key, "WHERE t.blocked_until <= clock_timestamp()")
		if errors.Is(err, pgx.ErrNoRows) {
			return tx.QueryRow(ctx, "SELECT greatest(blocked_until - clock_timestamp(), '1 ms') FROM parley_throttle WHERE key = $1", key[:]).Scan(&wait)
		}
		if err != nil {
			return err
		}
		return waitFor(ctx, tx, key, delay(n))
	})
	if err != nil {
		return 0, fmt.Errorf("counting a try to log in: %w", err)
	}
	return wait, nil
}

// LoginFailed counts a failure of a key and makes it wait as delay says for that
// many failures. Failures are forgotten after a day without any.
func (db *DB) LoginFailed(ctx context.Context, key [32]byte, delay func(failures int) time.Duration) error {
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		n, err := countFailure(ctx, tx, key, "")
		if err != nil {
			return err
		}
		return waitFor(ctx, tx, key, delay(n))
	})
	if err != nil {
		return fmt.Errorf("counting a failed log-in: %w", err)
	}
	return nil
}

func countFailure(ctx context.Context, tx pgx.Tx, key [32]byte, unless string) (failures int, err error) {
	err = tx.QueryRow(ctx, `INSERT INTO parley_throttle AS t (key, failures) VALUES ($1, 1)
		ON CONFLICT (key) DO UPDATE SET failed_at = now(),
		       failures = CASE WHEN t.failed_at < now() - $2::interval THEN 1 ELSE t.failures + 1 END `+unless+`
		RETURNING failures`, key[:], throttleMemory).Scan(&failures)
	return failures, err
}

// waitFor counts from the clock, not from the transaction's begin: it may have
// waited for others that tried.
func waitFor(ctx context.Context, tx pgx.Tx, key [32]byte, wait time.Duration) error {
	_, err := tx.Exec(ctx, "UPDATE parley_throttle SET blocked_until = clock_timestamp() + $2 WHERE key = $1", key[:], wait)
	return err
}

// LoginSucceeded forgets a key's failures, and a few others' that are old.
func (db *DB) LoginSucceeded(ctx context.Context, key [32]byte) error {
	return db.asWorker(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM parley_throttle WHERE key = $1 OR key IN (
			SELECT key FROM parley_throttle WHERE failed_at < now() - $2::interval ORDER BY failed_at LIMIT 100 FOR UPDATE SKIP LOCKED)`,
			key[:], throttleMemory)
		return err
	})
}

func bytesOf(keys [][32]byte) [][]byte {
	list := make([][]byte, len(keys))
	for i := range keys {
		list[i] = keys[i][:]
	}
	return list
}
