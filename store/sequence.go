package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// IDUse is how far a sequence is.
type IDUse struct {
	Sequence string
	// Share of the ids that it can give out, 0 to 1. Some tables keep the 32-bit
	// ids of the CRM schema, which end at 2,147,483,647.
	Share float64
}

// IDUses reports every sequence, the fullest first.
func (db *DB) IDUses(ctx context.Context) (list []IDUse, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			SELECT sequencename::text AS sequence, coalesce(last_value, 0)::float8 / max_value::float8 AS share
			  FROM pg_sequences WHERE schemaname = current_schema() ORDER BY 2 DESC, 1`)
		list, err = pgx.CollectRows(rows, pgx.RowToStructByName[IDUse])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading how many ids are used: %w", err)
	}
	return list, nil
}
