package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// statements lists what PostgreSQL spent its time on, by pg_stat_statements.
func (r *report) statements(ctx context.Context, c *cluster) error {
	if err := c.asSuperuser(ctx, "SELECT 1"); err != nil {
		return err
	}
	cfg, err := pgx.ParseConfig(c.server.URL())
	if err != nil {
		return err
	}
	cfg.User = "postgres"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `
		SELECT calls, total_exec_time::float8, rows, regexp_replace(left(query, 160), '\s+', ' ', 'g'), wal_bytes::float8
		  FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 15`)
	if err != nil {
		return err
	}
	var lines [][]string
	var calls, n int64
	var total, wal float64
	var query string
	_, err = pgx.ForEachRow(rows, []any{&calls, &total, &n, &query, &wal}, func() error {
		lines = append(lines, []string{
			thousands(calls), fmt.Sprintf("%.0f", total), fmt.Sprintf("%.3f", total/float64(calls)), thousands(n),
			fmt.Sprintf("%.0f", wal/(1<<20)), "`" + strings.ReplaceAll(query, "|", "\\|") + "`",
		})
		return nil
	})
	if err != nil {
		return err
	}
	r.say("\n## Statements by total time")
	r.table([]string{"calls", "total ms", "mean ms", "rows", "WAL MB", "statement"}, lines)
	return nil
}
