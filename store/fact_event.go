package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// EventsOf returns the events that messages of whichever tenant came by, of those
// that came by one.
func (db *DB) EventsOf(ctx context.Context, messages []int64) (map[int64]events.EventID, error) {
	found := map[int64]events.EventID{}
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, "SELECT id, event_id::text FROM crm_chat_messages WHERE id = ANY ($1) AND event_id IS NOT NULL", messages)
		var id int64
		var event events.EventID
		_, err := pgx.ForEachRow(rows, []any{&id, &event}, func() error {
			found[id] = event
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the events of messages: %w", err)
	}
	return found, nil
}
