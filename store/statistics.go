package store

import (
	"context"
	"fmt"
)

// Statistics is what PostgreSQL counts of this database.
type Statistics struct {
	// Bytes on disk.
	Bytes int64
	// Committed and RolledBack are transactions since its statistics began.
	Committed, RolledBack int64
	// Deadlocks it ended; what they hit was tried again.
	Deadlocks int64
}

// Statistics reads them. It takes milliseconds: the size is asked of the file system.
func (db *DB) Statistics(ctx context.Context) (s Statistics, err error) {
	err = db.worker.QueryRow(ctx, `
		SELECT pg_database_size(datname), xact_commit, xact_rollback, deadlocks
		  FROM pg_stat_database WHERE datname = current_database()`).Scan(&s.Bytes, &s.Committed, &s.RolledBack, &s.Deadlocks)
	if err != nil {
		return s, fmt.Errorf("reading the database's statistics: %w", err)
	}
	return s, nil
}
