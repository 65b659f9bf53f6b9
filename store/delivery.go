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

// newDelivery is a message to send.
type newDelivery struct {
	// Tenant may be empty in a transaction that names its tenant.
	Tenant  events.TenantID
	Message int64
	Chat    int64
	Channel events.ChannelID
	// Member is the person written to, Lane their address.
	Member string
	Lane   string
	// ReplyTo is the provider's id of the message answered, or empty.
	ReplyTo string
	// Template is sent instead of the text, nil for none.
	Template *inbox.Template
	// Delay is how long it waits before it is due.
	Delay time.Duration
}

// enqueueDelivery queues a message for sending and wakes its channel's
// dispatcher once tx commits. Only this makes a message leave.
func enqueueDelivery(ctx context.Context, tx pgx.Tx, d newDelivery) (id int64, err error) {
	err = tx.QueryRow(ctx, `
		INSERT INTO parley_deliveries (tenant_id, message_id, chat_id, channel_id, member_id, lane, reply_to, template, due_at)
		VALUES (coalesce(nullif($1, '')::uuid, parley_tenant()), $2, $3, $4, $5, $6, nullif($7, ''), $8,
		        CASE WHEN $9 > interval '0' THEN statement_timestamp() + $9 ELSE now() END)
		RETURNING id`,
		string(d.Tenant), d.Message, d.Chat, string(d.Channel), d.Member, d.Lane, d.ReplyTo, d.Template, d.Delay).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("queueing message %d: %w", d.Message, err)
	}
	return id, nil
}

// heldDelivery is a delivery whose row the transaction holds.
type heldDelivery struct {
	State     inbox.DeliveryState `db:"state"`
	Message   int64               `db:"message_id"`
	Channel   events.ChannelID    `db:"channel_id"`
	Lane      string              `db:"lane"`
	PartsSent int                 `db:"parts_sent"`
	Parts     int                 `db:"parts"`
}

// holdDelivery locks one of the tenant's deliveries or fails with NotFound.
func holdDelivery(ctx context.Context, tx pgx.Tx, id int64) (heldDelivery, error) {
	rows, _ := tx.Query(ctx, `
		SELECT state, message_id, channel_id::text, lane, parts_sent, parts
		  FROM parley_deliveries WHERE id = $1 FOR NO KEY UPDATE`, id)
	d, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[heldDelivery])
	if errors.Is(err, pgx.ErrNoRows) {
		return d, &inbox.Error{
			Code: inbox.NotFound, Message: fmt.Sprintf("There is no delivery %d.", id),
			Hint: "Read the message to see its delivery.",
		}
	}
	return d, err
}

// wakeLane makes the dispatcher look at a lane now, whatever it waits for.
func wakeLane(ctx context.Context, tx pgx.Tx, channel events.ChannelID, lane string) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO parley_lanes AS l (channel_id, lane, tenant_id, due_at)
		SELECT id, $2, tenant_id, clock_timestamp() FROM parley_channels WHERE id = $1
		ON CONFLICT (channel_id, lane) DO UPDATE
		   SET due_at = least(l.due_at, excluded.due_at), deliveries = l.deliveries + 1`, string(channel), lane)
	if err != nil {
		return fmt.Errorf("waking a lane: %w", err)
	}
	_, err = tx.Exec(ctx, "SELECT pg_notify('parley_delivery', $1)", string(channel))
	return err
}

// CancelDelivery takes back a message that was not sent yet, or the rest of one
// that was sent in part; one that was to be sent again, and may have arrived
// before, is uncertain as it was. It fails with NotFound, and with Conflict once there is
// nothing left to take back: while a part is on its way, too.
func (db *DB) CancelDelivery(ctx context.Context, tenant events.TenantID, id int64) error {
	return db.changeDelivery(ctx, tenant, id, "cancelling a delivery", func(tx pgx.Tx, d heldDelivery) error {
		if d.State != inbox.Queued {
			return &inbox.Error{
				Code: inbox.Conflict, Message: fmt.Sprintf("The message cannot be taken back: it is %s.", d.State),
				Hint: "Only a message that waits can be cancelled.",
			}
		}
		var doubtful bool
		if err := tx.QueryRow(ctx, `SELECT `+sqlDoubtful+`) FROM parley_deliveries d WHERE d.id = $1`, id).Scan(&doubtful); err != nil {
			return err
		}
		if doubtful {
			return writeDeliveryState(ctx, tx, id, inbox.Uncertain, "not_again", "It is not sent again. Nobody knows whether it arrived before.")
		}
		return writeDeliveryState(ctx, tx, id, inbox.Cancelled, "", "")
	})
}

// ResendUncertain sends a message again of which nobody knows whether it
// arrived: a person decided that twice is better than never. It fails with
// NotFound, and with Conflict when the delivery is not uncertain.
func (db *DB) ResendUncertain(ctx context.Context, tenant events.TenantID, id int64) error {
	return db.changeDelivery(ctx, tenant, id, "resending a delivery", func(tx pgx.Tx, d heldDelivery) error {
		if err := stillUncertain(d); err != nil {
			return err
		}
		return writeDeliveryState(ctx, tx, id, inbox.Queued, "", "")
	})
}

// SettleUncertain records what a person found out about an uncertain message:
// inbox.Sent when it did arrive, inbox.Failed when it did not. Parts that follow
// one that did are sent. It fails with NotFound, with Conflict when the delivery
// is not uncertain, and with Invalid for any other state.
func (db *DB) SettleUncertain(ctx context.Context, tenant events.TenantID, id int64, to inbox.DeliveryState) error {
	if to != inbox.Sent && to != inbox.Failed {
		return &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("An uncertain message cannot be settled as %q.", to),
			Hint: "It was sent or it failed.",
		}
	}
	return db.changeDelivery(ctx, tenant, id, "settling a delivery", func(tx pgx.Tx, d heldDelivery) error {
		if err := stillUncertain(d); err != nil {
			return err
		}
		if to == inbox.Failed {
			return writeDeliveryState(ctx, tx, id, to, "settled_by_hand", "A person said that it did not arrive.")
		}
		if _, err := tx.Exec(ctx, `
			UPDATE parley_deliveries SET parts_sent = parts_sent + 1, attempts = 0 WHERE id = $1`, id); err != nil {
			return err
		}
		if d.PartsSent+1 < d.Parts {
			return writeDeliveryState(ctx, tx, id, inbox.Queued, "", "")
		}
		return writeDeliveryState(ctx, tx, id, inbox.Sent, "", "")
	})
}

func stillUncertain(d heldDelivery) error {
	if d.State == inbox.Uncertain {
		return nil
	}
	return &inbox.Error{
		Code: inbox.Conflict, Message: fmt.Sprintf("The message is not uncertain: it is %s.", d.State),
		Hint: "Read it again; something settled it meanwhile.",
	}
}

// changeDelivery runs change with the delivery's row held, then lets its lane go
// on.
func (db *DB) changeDelivery(ctx context.Context, tenant events.TenantID, id int64, doing string, change func(pgx.Tx, heldDelivery) error) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	err := db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		d, err := holdDelivery(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := change(tx, d); err != nil {
			return err
		}
		return wakeLane(ctx, tx, d.Channel, d.Lane)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// writeDeliveryState moves a held delivery, says so in a fact, and notes when
// its message was sent. The caller checked that it may.
func writeDeliveryState(ctx context.Context, tx pgx.Tx, id int64, to inbox.DeliveryState, code, words string) error {
	_, err := tx.Exec(ctx, `
		WITH d AS (
		    UPDATE parley_deliveries
		       SET state = $2, holds_lane_until = NULL, code = nullif($3, ''), words = nullif($4, ''),
		           due_at = CASE WHEN $2 = 'queued' THEN clock_timestamp() ELSE due_at END, updated_at = clock_timestamp()
		     WHERE id = $1
		    RETURNING id, tenant_id, message_id, channel_id, state, code, words, action_no
		), m AS (
		    UPDATE crm_chat_messages m SET sent_at = coalesce(m.sent_at, clock_timestamp())
		      FROM d WHERE m.id = d.message_id AND d.state = 'sent' AND d.action_no = 0
		)
		INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data)
		SELECT d.tenant_id, 'message', d.state, m.chat_id, `+deliveryFact+`
		  FROM d JOIN crm_chat_messages m ON m.id = d.message_id WHERE d.action_no = 0`, id, string(to), code, words)
	return err
}

// deliveryFact is the payload of (message, <state>) facts, from d, a changed
// delivery, and m, its message.
const deliveryFact = `json_strip_nulls(json_build_object(
	'message_id', m.id, 'chat_id', m.chat_id, 'seq', m.seq, 'channel_id', d.channel_id,
	'delivery_id', d.id, 'state', d.state, 'code', d.code, 'words', d.words))`
