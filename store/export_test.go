package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// ExplainChats runs a page of chats and returns its plan.
func (db *DB) ExplainChats(ctx context.Context, tenant events.TenantID, page ChatPage) (plan string, err error) {
	sql, args, err := page.sql(nil)
	if err != nil {
		return "", err
	}
	err = db.inTenantPlanned(ctx, tenant, func(tx pgx.Tx) error {
		// As the statement is planned for all its arguments.
		if _, err := tx.Exec(ctx, "PREPARE page AS "+sql); err != nil {
			return err
		}
		given := make([]string, len(args))
		for i, arg := range args {
			switch arg := arg.(type) {
			case []int16:
				given[i] = "'{" + strings.Trim(strings.ReplaceAll(fmt.Sprint(arg), " ", ","), "[]") + "}'"
			case time.Time:
				given[i] = "'" + arg.Format(time.RFC3339Nano) + "'"
			default:
				given[i] = fmt.Sprint(arg)
			}
		}
		rows, _ := tx.Query(ctx, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE page ("+strings.Join(given, ", ")+")")
		defer func() { _, _ = tx.Exec(ctx, "DEALLOCATE page") }()
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		plan = strings.Join(lines, "\n")
		return err
	})
	return plan, err
}
