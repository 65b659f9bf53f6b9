package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// DueReply is a scheduled reply that is due.
type DueReply struct {
	Tenant events.TenantID
	ID     int64
}

// DueReplies returns up to limit scheduled replies that are due, the longest due
// first.
func (db *DB) DueReplies(ctx context.Context, limit int) (due []DueReply, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `SELECT tenant_id::text, id FROM parley_scheduled
			WHERE state = 'waiting' AND due_at <= clock_timestamp() ORDER BY due_at, id LIMIT $1`, limit)
		due, err = pgx.CollectRows(rows, pgx.RowToStructByPos[DueReply])
		return err
	})
	return due, err
}

// postponeBy is how long a reply waits on whose channel nothing can be sent just
// now.
const postponeBy = time.Minute

// ReleaseScheduled makes a scheduled reply that is due a message with its
// delivery, in one transaction with marking it as sent: it happens once, whoever
// tries and whatever crashes. Released is false when there was nothing to do:
// somebody else did it, holds it, or moved it. What may not be sent any more is
// refused, in words. Can is what the tenant's channels can do.
func (db *DB) ReleaseScheduled(ctx context.Context, tenant events.TenantID, id int64, can map[events.ChannelID]inbox.Abilities) (released bool, err error) {
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		var r Reply
		var kept scheduledReply
		var user *int64
		var unless bool
		err := tx.QueryRow(ctx, `SELECT chat_id, user_id, reply, seen, unless_answered FROM parley_scheduled
			 WHERE id = $1 AND state = 'waiting' AND due_at <= clock_timestamp() FOR NO KEY UPDATE SKIP LOCKED`, id).
			Scan(&r.Chat, &user, &kept, &r.Seen, &unless)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		released = true
		if user == nil {
			return endScheduled(ctx, tx, id, inbox.ScheduleRefused, "Whoever scheduled it is no longer there.", 0)
		}
		if unless {
			if _, err := lockChat(ctx, tx, r.Chat); err != nil {
				return err
			}
			var wrote bool
			if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM crm_chat_messages WHERE chat_id = $1 AND seq > $2 AND direction = 'in')", r.Chat, r.Seen).Scan(&wrote); err != nil {
				return err
			}
			if wrote {
				return endScheduled(ctx, tx, id, inbox.ScheduleCancelled, "The client wrote before it was due.", 0)
			}
		}
		r.Tenant, r.User, r.Force, r.Can = tenant, *user, true, can
		r.Channel, r.Text, r.Uploads, r.ReplyTo, r.Template, r.Approved, r.Mail = kept.Channel, kept.Text, kept.Uploads, kept.ReplyTo, kept.Template, kept.Approved, kept.Mail
		r.Seen = 0 // nobody looks at the chat just now
		var m inbox.Message
		err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { // what a refusal leaves half done is undone
			m, err = reply(ctx, tx, r)
			return err
		})
		var refused *inbox.Error
		switch {
		case err == nil:
			return endScheduled(ctx, tx, id, inbox.ScheduleSent, "", m.ID)
		case !errors.As(err, &refused):
			return err
		}
		if way, ok := refused.Detail.(inbox.RouteRefusal); ok && (way.State == inbox.RoutePaused || way.State == inbox.RouteTrouble) {
			_, err = tx.Exec(ctx, "UPDATE parley_scheduled SET due_at = clock_timestamp() + $2::interval, words = $3 WHERE id = $1", id, postponeBy, refused.Message)
			return err
		}
		return endScheduled(ctx, tx, id, inbox.ScheduleRefused, refused.Error(), 0)
	})
	if err != nil {
		return false, fmt.Errorf("releasing scheduled reply %d: %w", id, err)
	}
	return released, nil
}
