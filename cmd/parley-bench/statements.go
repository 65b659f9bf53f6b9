package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// statements lists what PostgreSQL spent its time on, by pg_stat_statements.
func (r *report) statements(ctx context.Context, c *cluster) error {
	conn, err := c.connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `
		SELECT calls, total_exec_time::float8, total_plan_time::float8, rows, regexp_replace(left(query, 130), '\s+', ' ', 'g'), wal_bytes::float8
		  FROM pg_stat_statements ORDER BY total_exec_time + total_plan_time DESC LIMIT 20`)
	if err != nil {
		return err
	}
	var lines [][]string
	var calls, n int64
	var total, plan, wal float64
	var query string
	_, err = pgx.ForEachRow(rows, []any{&calls, &total, &plan, &n, &query, &wal}, func() error {
		lines = append(lines, []string{
			thousands(calls), fmt.Sprintf("%.0f", plan), fmt.Sprintf("%.0f", total),
			fmt.Sprintf("%.3f", plan/float64(calls)), fmt.Sprintf("%.3f", total/float64(calls)), thousands(n),
			fmt.Sprintf("%.0f", wal/(1<<20)), "`" + strings.ReplaceAll(query, "|", "\\|") + "`",
		})
		return nil
	})
	if err != nil {
		return err
	}
	r.say("\n## Statements by total time")
	r.table([]string{"calls", "planning ms", "running ms", "mean planning", "mean running", "rows", "WAL MB", "statement"}, lines)
	return nil
}
