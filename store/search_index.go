package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// wordSource is a table whose new rows are to be found by their words. Which rows
// are new is told by their ids.
type wordSource struct {
	table string
	// index writes the words of the rows with id > $1 AND id <= $2, the lowest $3 of
	// them, and returns how many and the highest id.
	index string
}

const (
	sqlMessageWords = `strip(to_tsvector('simple', parley_message_text(m.message, m.content))) || parley_blocks(m.tenant_id, m.id)`
	sqlClientWords  = `array_to_tsvector(parley_trigrams(parley_client_text(c))) || parley_blocks(c.tenant_id, c.id)`
	sqlStoreWords   = ` ON CONFLICT (id) DO UPDATE SET words = excluded.words`
)

func wordSources() []wordSource {
	return []wordSource{
		{"crm_chat_messages", `WITH page AS (
			SELECT * FROM crm_chat_messages WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3
		), written AS (
			INSERT INTO parley_message_words (id, tenant_id, words) SELECT m.id, m.tenant_id, ` + sqlMessageWords + ` FROM page m
			ON CONFLICT (id) DO NOTHING
		) SELECT count(*), max(id) FROM page`},
		{"crm_clients", `WITH page AS (
			SELECT * FROM crm_clients WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3
		), written AS (
			INSERT INTO parley_client_words (id, tenant_id, words) SELECT c.id, c.tenant_id, ` + sqlClientWords + `
			  FROM page p JOIN crm_clients c ON c.id = p.id` + sqlStoreWords + `
		) SELECT count(*), max(id) FROM page`},
		// A client who gets another contact.
		{"crm_client_contacts", `WITH page AS (
			SELECT id, client_id FROM crm_client_contacts WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3
		), written AS (
			INSERT INTO parley_client_words (id, tenant_id, words) SELECT c.id, c.tenant_id, ` + sqlClientWords + `
			  FROM (SELECT DISTINCT client_id FROM page) p JOIN crm_clients c ON c.id = p.client_id` + sqlStoreWords + `
		) SELECT count(*), max(id) FROM page`},
	}
}

// indexRows is how many rows one transaction takes; the locks that it holds on
// them keep nobody but their deletion waiting.
const indexRows = 500

// IndexWords writes the words of some rows that are new or changed, and reports how
// many, and whether that was all there were. It may run in several processes at
// once, to no use.
//
// Rows become visible in another order than their ids. So the highest id given out
// is noted together with the transactions that might still use a lower one, and
// only once those have ended is everything up to it taken. The delay is for the
// moment between taking an id and being a transaction in PostgreSQL's eyes.
func (db *DB) IndexWords(ctx context.Context, delay time.Duration) (n int64, all bool, err error) {
	all = true
	for _, s := range wordSources() {
		some, reached, err := db.indexSource(ctx, s, delay)
		if err != nil {
			return n, false, fmt.Errorf("indexing the words of %s: %w", s.table, err)
		}
		n, all = n+some, all && reached
	}
	some, err := db.indexStale(ctx)
	if err != nil {
		return n, false, fmt.Errorf("indexing what changed: %w", err)
	}
	return n + some, all && some < indexRows, nil
}

func (db *DB) indexSource(ctx context.Context, s wordSource, delay time.Duration) (n int64, all bool, err error) {
	// Each a statement of its own: the id first, then who might have taken a lower.
	var last int64
	if err := db.worker.QueryRow(ctx, "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM "+
		pgx.Identifier{s.table + "_id_seq"}.Sanitize()).Scan(&last); err != nil {
		return 0, false, err
	}
	if _, err := db.worker.Exec(ctx, `
		UPDATE parley_words_progress
		   SET target = $2, horizon = pg_snapshot_xmax(pg_current_snapshot())::text::bigint, noted_at = clock_timestamp()
		 WHERE source = $1 AND (target <= done AND $2 > done
		       -- Of another server, from which this one was restored.
		       OR horizon > pg_snapshot_xmax(pg_current_snapshot())::text::bigint)`, s.table, last); err != nil {
		return 0, false, err
	}
	var done int64
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		var target int64
		rows, _ := tx.Query(ctx, `
			SELECT done, target FROM parley_words_progress
			 WHERE source = $1 AND done < target AND noted_at <= clock_timestamp() - $2::interval
			   AND horizon <= pg_snapshot_xmin(pg_current_snapshot())::text::bigint FOR UPDATE SKIP LOCKED`, s.table, delay)
		tag, err := pgx.ForEachRow(rows, []any{&done, &target}, func() error { return nil })
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return tx.QueryRow(ctx, "SELECT done FROM parley_words_progress WHERE source = $1", s.table).Scan(&done)
		}
		var highest *int64
		if err := tx.QueryRow(ctx, s.index, done, target, indexRows).Scan(&n, &highest); err != nil {
			return err
		}
		if n == indexRows {
			target = *highest
		}
		done = target
		_, err = tx.Exec(ctx, "UPDATE parley_words_progress SET done = $2 WHERE source = $1", s.table, done)
		return err
	})
	return n, done >= last, err
}

// indexStale writes the words of what changed.
func (db *DB) indexStale(ctx context.Context) (n int64, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			DELETE FROM parley_words_stale WHERE seq IN (SELECT seq FROM parley_words_stale ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED)
			RETURNING coalesce(message_id, 0), coalesce(client_id, 0)::bigint`, indexRows)
		type change struct{ Message, Client int64 }
		changes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[change])
		if err != nil || len(changes) == 0 {
			return err
		}
		n = int64(len(changes))
		var messages, clients []int64
		for _, c := range changes {
			if c.Message != 0 {
				messages = append(messages, c.Message)
			} else {
				clients = append(clients, c.Client)
			}
		}
		if _, err := tx.Exec(ctx, `INSERT INTO parley_message_words (id, tenant_id, words)
			SELECT m.id, m.tenant_id, `+sqlMessageWords+` FROM crm_chat_messages m WHERE m.id = ANY ($1)`+sqlStoreWords, messages); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO parley_client_words (id, tenant_id, words)
			SELECT c.id, c.tenant_id, `+sqlClientWords+` FROM crm_clients c WHERE c.id = ANY ($1)`+sqlStoreWords, clients)
		return err
	})
	return n, err
}
