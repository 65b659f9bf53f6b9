package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
)

// NewEventID makes the id of an event: a UUID version 7.
func NewEventID() events.EventID { return events.EventID(uuid.Must(uuid.NewV7()).String()) }

// ExpireUpdates ends the waiting of up to limit updates that are older than
// patience: an edit is stored as the message it contains, late; a reaction or
// status stays in the history without one. It returns how many it ended.
func (db *DB) ExpireUpdates(ctx context.Context, patience time.Duration, limit int) (int, error) {
	var n int
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT id, kind, tenant_id, accepted_at, event, 0::bigint AS message_id, 0::bigint AS chat_id, false AS is_part, false AS elsewhere
			  FROM parley_updates
			 WHERE applied_at IS NULL AND accepted_at < clock_timestamp() - $1::interval
			 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED`, patience, limit)
		if err != nil {
			return err
		}
		old, err := pgx.CollectRows(rows, pgx.RowToStructByName[waitingUpdate])
		if err != nil {
			return err
		}
		n = len(old)
		alone := make([]events.Inbound, 0, len(old))
		ids := make([]int64, len(old))
		for i := range old {
			ids[i] = old[i].ID
			if old[i].Kind != events.Edit {
				continue
			}
			var ev events.Inbound
			if err := json.Unmarshal(old[i].Event, &ev); err != nil {
				return err
			}
			ev.Kind = events.Message
			ev.Notes = append(ev.Notes, "an edit whose original never came")
			alone = append(alone, ev)
		}
		if _, err := tx.Exec(ctx, `UPDATE parley_updates SET applied_at = clock_timestamp() WHERE id = ANY ($1)`, ids); err != nil {
			return err
		}
		if len(alone) == 0 {
			return nil
		}
		return db.newLateBatch(alone, 0, 0).store(ctx, tx)
	})
	return n, err
}
