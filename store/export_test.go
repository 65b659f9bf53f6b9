package store

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// ExplainChats runs a page of chats and returns its plan.
func (db *DB) ExplainChats(ctx context.Context, tenant events.TenantID, page ChatPage) (plan string, err error) {
	sql, args, err := page.sql()
	if err != nil {
		return "", err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) "+sql, args...)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		plan = strings.Join(lines, "\n")
		return err
	})
	return plan, err
}
