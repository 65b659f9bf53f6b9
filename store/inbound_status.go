package store

import (
	"context"

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
	case events.Delayed: // changes no state
	}
	return "", false
}

// applyStatusUpdate applies a provider's report to the delivery it is about. A
// report that is behind what is known stays in the history and changes nothing.
func applyStatusUpdate(ctx context.Context, tx pgx.Tx, u *waitingUpdate, ev *events.Inbound) error {
	to, known := deliveryOf(ev.Status.Name)
	report := statusReport{
		Channel: ev.Channel, Key: ev.Key, Ref: ev.Status.Ref,
		To: to, Code: ev.Status.Code, Words: ev.Status.Words, At: sentAt(ev),
	}
	if ev.Status.Name == events.Delayed {
		changed, err := applyDelay(ctx, tx, report)
		if err != nil {
			return err
		}
		if changed {
			return settleUpdate(ctx, tx, u, string(events.Delayed))
		}
	}
	if known {
		state, found, err := applyStatus(ctx, tx, report)
		switch {
		case err != nil:
			return err
		case !found:
			return nil // it waits on
		case state != "":
			return settleUpdate(ctx, tx, u, string(state))
		}
	}
	_, err := tx.Exec(ctx, `UPDATE parley_updates SET applied_at = clock_timestamp(), message_id = $2 WHERE id = $1`, u.ID, u.Message)
	return err
}
