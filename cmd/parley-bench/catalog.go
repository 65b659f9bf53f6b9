package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// catalogRow is one table of the catalog.
type catalogRow struct {
	Name     string
	Rows     int64
	Inserted int64
	Indexes  []string
	Keys     int
	Triggers []string
	RLS      string
	Size     string
}

// catalog writes every table with its indexes, foreign keys, triggers and walls,
// how many rows it holds and how many were ever written to it. The program under
// measurement has no faster schema to hide.
func (r *report) catalog(ctx context.Context, c *cluster) error {
	rows, err := c.pool.Query(ctx, `
		SELECT t.relname AS name, 0::bigint AS rows, coalesce(s.n_tup_ins, 0) AS inserted,
		       ARRAY(SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
		              WHERE x.indrelid = t.oid ORDER BY 1) AS indexes,
		       (SELECT count(*)::int FROM pg_constraint k WHERE k.conrelid = t.oid AND k.contype = 'f') AS keys,
		       ARRAY(SELECT g.tgname::text FROM pg_trigger g WHERE g.tgrelid = t.oid AND NOT g.tgisinternal ORDER BY 1) AS triggers,
		       CASE WHEN t.relforcerowsecurity THEN 'forced' WHEN t.relrowsecurity THEN 'on' ELSE '' END AS rls,
		       pg_size_pretty(pg_total_relation_size(t.oid)) AS size
		  FROM pg_class t LEFT JOIN pg_stat_user_tables s ON s.relid = t.oid
		 WHERE t.relnamespace = 'public'::regnamespace AND t.relkind = 'r' ORDER BY 1`)
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByName[catalogRow])
	if err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	var lines [][]string
	for _, t := range tables {
		if err := c.pool.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{t.Name}.Sanitize()).Scan(&t.Rows); err != nil {
			return fmt.Errorf("counting %s: %w", t.Name, err)
		}
		lines = append(lines, []string{
			t.Name, thousands(t.Rows), thousands(t.Inserted), t.Size, fmt.Sprintf("%d: %s", len(t.Indexes), strings.Join(t.Indexes, ", ")),
			fmt.Sprint(t.Keys), strings.Join(t.Triggers, ", "), t.RLS,
		})
	}
	r.say("\n## The schema that was measured\n\nRows written counts since the database was made; facts are deleted once they are published.")
	r.table([]string{"table", "rows now", "rows written", "size", "indexes", "foreign keys", "triggers", "row security"}, lines)
	return nil
}
