package store

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Report applies a provider's report as a worker.
func (db *DB) Report(ctx context.Context, ch events.ChannelID, key events.MessageKey, ref string, to inbox.DeliveryState) (state inbox.DeliveryState, found bool, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		state, found, err = applyStatus(ctx, tx, statusReport{
			Channel: ch, Key: key, Ref: ref, To: to, Code: "code", Words: "words", At: time.Now(),
		})
		return err
	})
	return state, found, err
}

// ExplainHeads runs the look at due lanes as a turn does, and returns its plan.
func (db *DB) ExplainHeads(ctx context.Context, lease Lease, ch events.ChannelID, after LaneCursor, limit int, window bool) (plan string, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlEnter, lease.Name, lease.Epoch); err != nil {
			return err
		}
		rows, _ := tx.Query(ctx, "EXPLAIN (ANALYZE, BUFFERS) "+sqlHeads, string(ch), nil, after.DueAt, after.Lane, []string{}, limit, window)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		plan = strings.Join(lines, "\n")
		return err
	})
	return plan, err
}
