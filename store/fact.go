package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// Facts returns up to limit facts that wait to be published, lowest id first.
// Only the holder of the relay's lease may call it.
func (db *DB) Facts(ctx context.Context, limit int) ([]events.Fact, error) {
	var list []events.Fact
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx,
			`SELECT id, tenant_id::text, noun, verb, chat_id, at, data FROM parley_facts ORDER BY id LIMIT $1`, limit)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (f events.Fact, err error) {
			err = row.Scan(&f.ID, &f.Tenant, &f.Noun, &f.Verb, &f.Chat, &f.Time, &f.Data)
			return f, err
		})
		return err
	})
	return list, err
}

// DeleteFacts removes published facts. A relay that lost its lease may do it
// too: what it published is published.
func (db *DB) DeleteFacts(ctx context.Context, facts []events.Fact) error {
	ids := make([]int64, len(facts))
	for i := range facts {
		ids[i] = facts[i].ID
	}
	return db.asWorker(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM parley_facts WHERE id = ANY ($1)`, ids)
		return err
	})
}

// FactBacklog reports how many facts wait, counting no further than 10,000, and
// how long the oldest has.
func (db *DB) FactBacklog(ctx context.Context) (waiting int64, oldest time.Duration, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			SELECT (SELECT count(*) FROM (SELECT 1 FROM parley_facts LIMIT 10000) f),
			       coalesce(clock_timestamp() - (SELECT at FROM parley_facts ORDER BY id LIMIT 1), interval '0')`).
			Scan(&waiting, &oldest)
	})
	return waiting, oldest, err
}
