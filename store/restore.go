package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/inbox"
)

// PrepareRestore makes a database ready for pg_restore: it refuses one that holds
// tables, with Conflict, and makes the roles that a dump refers to and does not hold.
func PrepareRestore(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("reaching the database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var tables int
	err = conn.QueryRow(ctx, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')").Scan(&tables)
	if err != nil {
		return fmt.Errorf("looking whether the database is empty: %w", err)
	}
	if tables > 0 {
		return &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("The database is not empty: it has %d tables and sequences.", tables),
			Hint: "Restore into an empty one (createdb), and look at what this one holds before you remove it.",
		}
	}
	for _, role := range []string{"parley_api", "parley_worker", "parley_backup"} {
		_, err := conn.Exec(ctx, fmt.Sprintf(`
			DO $$ BEGIN
				IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '%[1]s') THEN
					CREATE ROLE %[1]s NOLOGIN NOINHERIT;
				END IF;
				IF NOT pg_has_role(current_user, '%[1]s', 'MEMBER') THEN
					EXECUTE format('GRANT %[1]s TO %%I', current_user);
				END IF;
			END $$`, role))
		if err != nil {
			return fmt.Errorf("making the role %s (an administrator may have to: CREATE ROLE %[1]s NOLOGIN NOINHERIT; GRANT %[1]s TO …): %w", role, err)
		}
	}
	return nil
}

// factLeap is what the ids of facts leave out after a restore: far more than could have
// been given out since the backup, a millionth of all there are.
const factLeap = 10_000_000_000_000

// LeapFacts makes the ids of facts begin anew where none was ever given out. After the
// backup more were: readers and the bus have seen them, and would take other facts of
// the same ids for repetitions.
func LeapFacts(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("reaching the database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "SELECT setval('parley_facts_id_seq', last_value + $1) FROM parley_facts_id_seq", factLeap); err != nil {
		return fmt.Errorf("leaping over the ids of facts: %w", err)
	}
	return nil
}

// MoveStream makes the ledger answer for a restored copy of a stream, which has another
// identity and the same sequence numbers. A stream that it does not answer for is no
// error: no router had read it yet.
func (db *DB) MoveStream(ctx context.Context, stream, from, to string) error {
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE parley_partitions SET stream_identity = $3 WHERE stream = $1 AND stream_identity = $2", stream, from, to)
		return err
	})
	if err != nil {
		return fmt.Errorf("moving the ledger to the restored stream %s: %w", stream, err)
	}
	return nil
}

// HoldRestored makes everything uncertain that a restored backup had still to send: it
// may have been sent after the backup was made, and nothing is sent twice blindly. It
// returns how many replies a person has to decide about.
func (db *DB) HoldRestored(ctx context.Context) (held int64, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			UPDATE parley_attempts SET outcome = 'uncertain', finished_at = clock_timestamp(), code = 'restored' WHERE outcome = 'pending'`); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			UPDATE parley_deliveries
			   SET state = 'uncertain', code = 'restored', holds_lane_until = NULL, updated_at = clock_timestamp(),
			       words = 'It was waiting to be sent when the backup was made, and may have been sent since.'
			 WHERE state IN ('queued', 'sending')`)
		held = tag.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("holding what the backup had still to send: %w", err)
	}
	return held, nil
}
