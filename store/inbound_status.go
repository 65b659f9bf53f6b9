package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// deliveryOf is what a provider's report says about a delivery.
func deliveryOf(name events.StatusName) (inbox.DeliveryState, bool) {
	switch name {
	case events.Sent:
		return inbox.Sent, true
	case events.Delivered:
		return inbox.Delivered, true
	case events.Read:
		return inbox.Read, true
	case events.Failed:
		return inbox.Failed, true
	}
	return "", false
}

// applyStatusUpdate moves a delivery forward by a provider's report, which is
// also proof where the send itself stayed uncertain. A report that is behind
// what is known stays in the history and changes nothing.
func applyStatusUpdate(ctx context.Context, tx pgx.Tx, u *waitingUpdate, ev *events.Inbound) error {
	to, known := deliveryOf(ev.Status.Name)
	var id int64
	var from inbox.DeliveryState
	err := tx.QueryRow(ctx, `SELECT id, state FROM parley_deliveries WHERE message_id = $1 FOR NO KEY UPDATE`, u.Message).
		Scan(&id, &from)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if err != nil || !known || !inbox.Advances(from, to) {
		_, err := tx.Exec(ctx, `UPDATE parley_updates SET applied_at = clock_timestamp(), message_id = $2 WHERE id = $1`, u.ID, u.Message)
		return err
	}
	if _, err := tx.Exec(ctx, `
		UPDATE parley_deliveries SET state = $2, code = nullif($3, ''), words = nullif($4, ''), updated_at = now(),
		       holds_lane_until = NULL WHERE id = $1`, id, string(to), ev.Status.Code, ev.Status.Words); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		UPDATE crm_chat_messages
		   SET sent_at = CASE WHEN $2 THEN sent_at ELSE coalesce(sent_at, $4) END,
		       read_at = CASE WHEN $3 THEN coalesce(read_at, $4) ELSE read_at END
		 WHERE id = $1`, u.Message, to == inbox.Failed, to == inbox.Read, sentAt(ev)); err != nil {
		return err
	}
	return settleUpdate(ctx, tx, u, string(to))
}
