package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// stored is what the database has of one run, compared with the generator's
// list.
type stored struct {
	Rows int
	// Lost were accepted and are not there; Strange are there and were not
	// accepted; Doubled are there more than once; Disordered come before what
	// their sender wrote earlier.
	Lost, Strange, Doubled, Disordered int
	// First send to last commit.
	Took time.Duration
	// Percentiles from leaving the generator to the answer, and to the commit.
	Answer50, Answer99, Commit50, Commit99 time.Duration
}

// sqlCompare holds the rows above an id against the list, both ways. The text of
// a message says who wrote it, as which of theirs, and when.
const sqlCompare = `
WITH mine AS MATERIALIZED (
    SELECT chat_id, seq, provider_chat, split_part(message, ' ', 1) AS run, split_part(message, ' ', 2)::bigint AS sender,
           split_part(message, ' ', 3)::int AS counter, split_part(message, ' ', 4)::bigint AS sent,
           (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint AS committed
      FROM crm_chat_messages WHERE id > $1 AND direction = 'in'
)
SELECT (SELECT count(*)::int FROM mine) AS rows,
       (SELECT count(*)::int FROM accepted a
         WHERE NOT EXISTS (SELECT FROM mine m WHERE m.sender = a.sender AND m.counter = a.counter AND m.run = $2)) AS lost,
       (SELECT count(*)::int FROM mine m
         WHERE m.run <> $2 OR m.provider_chat <> m.sender::text
            OR NOT EXISTS (SELECT FROM accepted a WHERE a.sender = m.sender AND a.counter = m.counter)) AS strange,
       (SELECT count(*)::int FROM (SELECT FROM mine GROUP BY sender, counter HAVING count(*) > 1) d) AS doubled,
       (SELECT count(*)::int FROM (
            SELECT counter, lag(counter) OVER (PARTITION BY chat_id ORDER BY seq) AS before FROM mine) o
         WHERE before >= counter) AS disordered,
       coalesce((SELECT max(committed) * 1000 - min(sent) FROM mine), 0) AS took,
       coalesce((SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY committed * 1000 - sent) FROM mine), 0)::bigint AS commit50,
       coalesce((SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY committed * 1000 - sent) FROM mine), 0)::bigint AS commit99,
       coalesce((SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took) FROM accepted), 0)::bigint AS answer50,
       coalesce((SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY took) FROM accepted), 0)::bigint AS answer99`

// compare holds the messages stored since the row numbered after against a
// generator's list.
func (c *cluster) compare(ctx context.Context, run int, list string, after int64) (s stored, err error) {
	err = pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `CREATE TEMP TABLE accepted (sender bigint, counter int, sent bigint, took bigint) ON COMMIT DROP`)
		if err != nil {
			return err
		}
		if err := copyList(ctx, tx, list); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `ANALYZE accepted`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SET LOCAL work_mem = '256MB'`); err != nil {
			return err
		}
		var took, commit50, commit99, answer50, answer99 int64
		err = tx.QueryRow(ctx, sqlCompare, after, fmt.Sprintf("r%d", run)).Scan(
			&s.Rows, &s.Lost, &s.Strange, &s.Doubled, &s.Disordered, &took, &commit50, &commit99, &answer50, &answer99)
		s.Took = time.Duration(took)
		s.Commit50, s.Commit99 = time.Duration(commit50), time.Duration(commit99)
		s.Answer50, s.Answer99 = time.Duration(answer50), time.Duration(answer99)
		return err
	})
	if err != nil {
		return s, fmt.Errorf("comparing run %d with the database: %w", run, err)
	}
	return s, nil
}

func copyList(ctx context.Context, tx pgx.Tx, list string) error {
	file, err := os.Open(list) //nolint:gosec // a file of ours
	if err != nil {
		return err
	}
	defer file.Close()
	in := csv.NewReader(file)
	in.Comma = '\t'
	in.ReuseRecord = true
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"accepted"}, []string{"sender", "counter", "sent", "took"},
		pgx.CopyFromFunc(func() ([]any, error) {
			record, err := in.Read()
			if errors.Is(err, io.EOF) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			row := make([]any, len(record))
			for i, field := range record {
				if row[i], err = strconv.ParseInt(field, 10, 64); err != nil {
					return nil, err
				}
			}
			return row, nil
		}))
	return err
}

// newest is the id of the newest message.
func (c *cluster) newest(ctx context.Context) (id int64, err error) {
	err = c.pool.QueryRow(ctx, `SELECT coalesce(max(id), 0) FROM crm_chat_messages`).Scan(&id)
	return id, err
}

// drained waits until as many messages are stored as were accepted, and every
// fact about them is on the bus.
func (c *cluster) drained(ctx context.Context, after int64, messages int) error {
	return until(ctx, 2*time.Minute, fmt.Sprintf("%d messages to be stored and their facts published", messages), func() (bool, error) {
		var n int
		var waiting bool
		err := c.pool.QueryRow(ctx, `
			SELECT (SELECT count(*) FROM crm_chat_messages WHERE id > $1), EXISTS (SELECT FROM parley_facts)`, after).Scan(&n, &waiting)
		return err == nil && n >= messages && !waiting, err
	})
}
