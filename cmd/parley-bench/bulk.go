package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// bulkTables are what seeding fills. Their indexes and foreign keys are taken off
// before and put back after, which checks every row: millions of single insertions
// into a dozen indexes would take an hour.
func bulkTables() []string {
	return []string{
		"crm_clients", "crm_client_contacts", "crm_chats", "crm_chat_members", "crm_chat_messages", "parley_identities",
		"parley_message_words", "parley_client_words",
	}
}

// sqlTakenOff lists what can be taken off: foreign keys, unique constraints to which
// no foreign key refers, and indexes that no constraint stands on.
const sqlTakenOff = `
SELECT CASE k.contype WHEN 'f' THEN 3 ELSE 1 END AS stage,
       format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname) AS off,
       format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid)) AS back
  FROM pg_constraint k
 WHERE k.conrelid = ANY ($1::regclass[])
   AND (k.contype = 'f' OR k.contype = 'u' AND NOT EXISTS (SELECT FROM pg_constraint r WHERE r.contype = 'f' AND r.conindid = k.conindid))
UNION ALL
SELECT 2, format('DROP INDEX %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
  FROM pg_index i
 WHERE i.indrelid = ANY ($1::regclass[]) AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype <> 'f')
 ORDER BY 1 DESC, 2`

// sqlFingerprint is all that there is on the tables.
const sqlFingerprint = `
SELECT string_agg(line, E'\n' ORDER BY line) FROM (
    SELECT format('%s %s %s %s', k.conrelid::regclass, k.conname, k.convalidated, pg_get_constraintdef(k.oid)) AS line
      FROM pg_constraint k WHERE k.conrelid = ANY ($1::regclass[])
    UNION ALL SELECT format('%s %s', i.indisvalid, pg_get_indexdef(i.indexrelid)) FROM pg_index i WHERE i.indrelid = ANY ($1::regclass[])
    UNION ALL SELECT format('%s %s %s', t.tgrelid::regclass, t.tgname, t.tgenabled) FROM pg_trigger t WHERE t.tgrelid = ANY ($1::regclass[]) AND NOT t.tgisinternal
) l`

// takenOff is one thing that comes back at its stage: unique constraints, then
// indexes, several at once, then foreign keys.
type takenOff struct {
	Stage     int
	Off, Back string
}

// bulk calls load while the tables are bare, and puts everything back as it was.
func (c *cluster) bulk(ctx context.Context, load func() error) error {
	// As the administrator, whom row security does not bind: a foreign key that
	// their owner adds is not checked against rows that the owner does not see.
	admin, err := c.connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close(context.WithoutCancel(ctx)) }()
	var before, after string
	if err := admin.QueryRow(ctx, sqlFingerprint, bulkTables()).Scan(&before); err != nil {
		return fmt.Errorf("looking at the tables: %w", err)
	}
	rows, _ := admin.Query(ctx, sqlTakenOff, bulkTables())
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[takenOff])
	if err != nil {
		return fmt.Errorf("looking at the tables: %w", err)
	}
	for _, t := range list {
		if _, err := admin.Exec(ctx, t.Off); err != nil {
			return fmt.Errorf("%s: %w", t.Off, err)
		}
	}
	if err := load(); err != nil {
		return err
	}
	for stage := 1; stage <= 3; stage++ {
		var back []string
		for _, t := range list {
			if t.Stage == stage {
				back = append(back, t.Back)
			}
		}
		// The largest first, so that none is left over at the end.
		slices.SortStableFunc(back, func(a, b string) int { return strings.Count(b, "words_gin") - strings.Count(a, "words_gin") })
		workers := 2
		if stage != 2 {
			workers = 1 // they lock each other out
		}
		if err := c.together(ctx, workers, "postgres", back); err != nil {
			return err
		}
	}
	if err := admin.QueryRow(ctx, sqlFingerprint, bulkTables()).Scan(&after); err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("the tables are not what they were before: %s\ninstead of %s", after, before)
	}
	return nil
}

// together runs statements on some connections of a role.
func (c *cluster) together(ctx context.Context, workers int, role string, statements []string) error {
	queue := make(chan string, len(statements))
	for _, s := range statements {
		queue <- s
	}
	close(queue)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			conn, err := c.connect(ctx, role)
			if err != nil {
				cancel(err)
				return
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			settings := "SET maintenance_work_mem = '1GB'; SET work_mem = '256MB'; SET synchronous_commit = off"
			if role != "postgres" {
				settings += "; SET ROLE parley_worker"
			}
			if _, err := conn.Exec(ctx, settings); err != nil {
				cancel(err)
				return
			}
			for s := range queue {
				if _, err := conn.Exec(ctx, s); err != nil {
					cancel(fmt.Errorf("%.200s: %w", s, err))
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
