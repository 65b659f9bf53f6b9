package store

import (
	"context"
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
