package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Limits of a page of deliveries.
const (
	DefaultDeliveries = 50
	MaxDeliveries     = 500
)

// DeliveryPage says which deliveries to list.
type DeliveryPage struct {
	// Waiting lists those that wait to be sent or are under way; without it, those
	// in trouble: failed and uncertain ones.
	Waiting bool
	// State lists only one state of them, all when empty.
	State inbox.DeliveryState
	// Before lists only ids below it, 0 for the newest.
	Before int64
	// Limit is DefaultDeliveries when 0, and at most MaxDeliveries.
	Limit int
}

// Deliveries lists the tenant's deliveries that a person may have to do with, the
// newest first.
func (db *DB) Deliveries(ctx context.Context, tenant events.TenantID, page DeliveryPage) (list []inbox.DeliveryItem, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	limit := page.Limit
	if limit <= 0 {
		limit = DefaultDeliveries
	}
	which := "d.in_trouble"
	if page.Waiting {
		// By channel, as the index of what waits is.
		which = "d.in_lane AND d.channel_id IN (SELECT id FROM parley_channels)"
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			SELECT d.id, d.state, d.attempts, d.parts_sent, d.parts, d.due_at, coalesce(d.code, ''), coalesce(d.words, ''),
			       d.message_id, d.chat_id, m.seq, left(m.message, 300), d.channel_id::text, ch.name, d.lane, d.created_at, d.updated_at
			  FROM parley_deliveries d
			  JOIN crm_chat_messages m ON m.id = d.message_id
			  JOIN parley_channels ch ON ch.id = d.channel_id
			 WHERE `+which+` AND ($1 = 0 OR d.id < $1) AND ($2 = '' OR d.state = $2)
			 ORDER BY d.id DESC LIMIT $3`, page.Before, string(page.State), min(limit, MaxDeliveries))
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (d inbox.DeliveryItem, err error) {
			err = row.Scan(&d.ID, &d.State, &d.Attempts, &d.PartsSent, &d.Parts, &d.DueAt, &d.Code, &d.Words,
				&d.MessageID, &d.ChatID, &d.Seq, &d.Text, &d.Channel, &d.ChannelName, &d.Address, &d.CreatedAt, &d.UpdatedAt)
			return d, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing deliveries: %w", err)
	}
	return list, nil
}

// Delivery returns one delivery, or NotFound.
func (db *DB) Delivery(ctx context.Context, tenant events.TenantID, id int64) (m inbox.Message, err error) {
	if err := validTenant(tenant); err != nil {
		return m, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		d, err := holdDelivery(ctx, tx, id)
		if err != nil {
			return err
		}
		m, err = messageByID(ctx, tx, d.Message)
		return err
	})
	if err != nil {
		return m, fmt.Errorf("reading a delivery: %w", err)
	}
	return m, nil
}
