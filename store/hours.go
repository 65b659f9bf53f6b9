package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

const hoursSelect = `
SELECT coalesce(channel_id::text, ''), enabled, time_zone, week, holidays, away, greeting, version FROM parley_hours `

// Hours returns the tenant's hours, those of all channels first.
func (db *DB) Hours(ctx context.Context, tenant events.TenantID) (list []inbox.Hours, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, hoursSelect+"WHERE tenant_id = $1 ORDER BY channel_id NULLS FIRST", string(tenant))
		list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[inbox.Hours])
		return err
	})
	return list, err
}

// SetHours replaces the hours of a channel, or of all that have none of their
// own. It fails with Changed unless they still have that version, 0 being any.
func (db *DB) SetHours(ctx context.Context, tenant events.TenantID, version int64, h inbox.Hours) (stored inbox.Hours, err error) {
	if err := errors.Join(validTenant(tenant), h.Validate()); err != nil {
		return h, err
	}
	h.Channel = events.ChannelID(strings.ToLower(string(h.Channel)))
	if h.Channel != "" && uuid.Validate(string(h.Channel)) != nil {
		return h, noChannel(h.Channel)
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		const of = "WHERE channel_id IS NOT DISTINCT FROM nullif($1, '')::uuid"
		var now int64
		err := tx.QueryRow(ctx, "SELECT version FROM parley_hours "+of+" FOR UPDATE", string(h.Channel)).Scan(&now)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err := sameVersion(version, now, "The hours"); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO parley_hours AS h (channel_id, enabled, time_zone, week, holidays, away, greeting)
			VALUES (nullif($1, '')::uuid, $2, $3, coalesce($4::jsonb, '{}'), coalesce($5::jsonb, '{}'), $6, $7)
			ON CONFLICT (tenant_id, channel_id) DO UPDATE
			   SET enabled = excluded.enabled, time_zone = excluded.time_zone, week = excluded.week, holidays = excluded.holidays,
			       away = excluded.away, greeting = excluded.greeting, version = h.version + 1, updated_at = now()`,
			string(h.Channel), h.Enabled, h.TimeZone, h.Week, h.Holidays, h.Away, h.Greeting)
		if violates(err, "parley_hours_channel") {
			return noChannel(h.Channel)
		}
		if err != nil {
			return err
		}
		rows, _ := tx.Query(ctx, hoursSelect+of, string(h.Channel))
		stored, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[inbox.Hours])
		return err
	})
	if err != nil {
		return h, fmt.Errorf("setting the hours: %w", err)
	}
	return stored, nil
}
