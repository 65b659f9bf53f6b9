package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// FactRows are facts that wait to be published, and the rows they are in.
type FactRows struct {
	Facts []events.Fact
	ids   []int64
}

// Rows is how many rows hold them.
func (r FactRows) Rows() int { return len(r.ids) }

// Facts returns the facts of up to limit rows that wait to be published, lowest
// id first. Only the holder of the relay's lease may call it.
func (db *DB) Facts(ctx context.Context, limit int) (FactRows, error) {
	var list FactRows
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		list = FactRows{}
		rows, err := tx.Query(ctx,
			`SELECT id, tenant_id::text, noun, verb, chat_id, at, data, chat_ids, lines FROM parley_facts ORDER BY id LIMIT $1`, limit)
		if err != nil {
			return err
		}
		var f events.Fact
		var chats []int64
		var lines []byte
		_, err = pgx.ForEachRow(rows, []any{&f.ID, &f.Tenant, &f.Noun, &f.Verb, &f.Chat, &f.Time, &f.Data, &chats, &lines}, func() error {
			defer func() { f, chats, lines = events.Fact{}, nil, nil }()
			return list.add(f, chats, lines)
		})
		return err
	})
	return list, err
}

// add takes a row: one fact, or with chats as many as there are.
func (r *FactRows) add(f events.Fact, chats []int64, lines []byte) error {
	r.ids = append(r.ids, f.ID)
	if chats == nil {
		r.Facts = append(r.Facts, f)
		return nil
	}
	// JSON text as the database builds it holds no raw line break.
	data := bytes.Split(lines, []byte("\n"))
	if len(data) != len(chats) {
		return fmt.Errorf("row %d of parley_facts names %d chats and holds the data of %d facts", f.ID, len(chats), len(data))
	}
	for i, chat := range chats {
		one := f
		one.ID, one.Chat, one.Data = f.ID+int64(i), chat, data[i]
		r.Facts = append(r.Facts, one)
	}
	return nil
}

// DeleteFacts removes published facts. A relay that lost its lease may do it
// too: what it published is published.
func (db *DB) DeleteFacts(ctx context.Context, published FactRows) error {
	return db.asWorker(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM parley_facts WHERE id = ANY ($1)`, published.ids)
		return err
	})
}

// FactBacklog reports how many facts wait, counting no further than 10,000 rows,
// and how long the oldest has.
func (db *DB) FactBacklog(ctx context.Context) (waiting int64, oldest time.Duration, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			SELECT (SELECT coalesce(sum(n), 0) FROM (SELECT coalesce(cardinality(chat_ids), 1) AS n FROM parley_facts LIMIT 10000) f),
			       coalesce(clock_timestamp() - (SELECT at FROM parley_facts ORDER BY id LIMIT 1), interval '0')`).
			Scan(&waiting, &oldest)
	})
	return waiting, oldest, err
}
