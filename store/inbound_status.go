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
	if u.Elsewhere {
		return applyStatusElsewhere(ctx, tx, u, ev)
	}
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
	return keepUpdate(ctx, tx, u)
}

// keepUpdate marks an update that changed nothing as applied: it is history.
func keepUpdate(ctx context.Context, tx pgx.Tx, u *waitingUpdate) error {
	_, err := tx.Exec(ctx, `UPDATE parley_updates SET applied_at = clock_timestamp(), message_id = $2 WHERE id = $1`, u.ID, u.Message)
	return err
}

// applyStatusElsewhere notes what became of a message that another program sent:
// it has no delivery of ours, only the time it was read. That it failed is in
// the history, and told.
func applyStatusElsewhere(ctx context.Context, tx pgx.Tx, u *waitingUpdate, ev *events.Inbound) error {
	switch ev.Status.Name {
	case events.Read:
		tag, err := tx.Exec(ctx, `UPDATE crm_chat_messages SET read_at = $2 WHERE id = $1 AND read_at IS NULL`, u.Message, sentAt(ev))
		if err != nil {
			return err
		}
		if tag.RowsAffected() > 0 {
			return settleUpdate(ctx, tx, u, string(events.Read))
		}
	case events.Delivered, events.Failed, events.Delayed:
		return settleUpdate(ctx, tx, u, string(ev.Status.Name))
	case events.Sent:
	}
	return keepUpdate(ctx, tx, u)
}
