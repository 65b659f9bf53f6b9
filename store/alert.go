package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// AlertSettings returns what a user wants to be told, the defaults of who never
// said, or NotFound.
func (db *DB) AlertSettings(ctx context.Context, tenant events.TenantID, user int64) (s inbox.AlertSettings, err error) {
	if err := validTenant(tenant); err != nil {
		return s, err
	}
	s = inbox.DefaultAlerts()
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if err := userExists(ctx, tx, user); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, "SELECT way, telegram_id, after_minutes, quiet_minutes FROM parley_alert_settings WHERE user_id = $1", user).
			Scan(&s.Way, &s.TelegramID, &s.AfterMinutes, &s.QuietMinutes)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return s, fmt.Errorf("reading what a user wants to be told: %w", err)
	}
	return s, nil
}

// SetAlertSettings says what a user wants to be told from now on. It fails with
// NotFound, and with Conflict when the way is not possible: the user has no
// address, or the tenant no bot.
func (db *DB) SetAlertSettings(ctx context.Context, tenant events.TenantID, user int64, s inbox.AlertSettings) error {
	if err := errors.Join(validTenant(tenant), s.Validate()); err != nil {
		return err
	}
	err := db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if err := userExists(ctx, tx, user); err != nil {
			return err
		}
		var address, bot bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM core_users WHERE id = $1 AND email <> ''), EXISTS (SELECT FROM parley_alert_bots)`, user).
			Scan(&address, &bot); err != nil {
			return err
		}
		switch {
		case s.Way == inbox.AlertMail && !address:
			return &inbox.Error{Code: inbox.Conflict, Message: "The user has no mail address.", Hint: "Choose another way."}
		case s.Way == inbox.AlertTelegram && !bot:
			return &inbox.Error{Code: inbox.Conflict, Message: "No bot is chosen for alerts.", Hint: "An admin chooses one: PUT /api/v1/alert-bot, or parley alerts bot."}
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO parley_alert_settings (user_id, way, telegram_id, after_minutes, quiet_minutes) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (tenant_id, user_id) DO UPDATE SET way = excluded.way, telegram_id = excluded.telegram_id,
			    after_minutes = excluded.after_minutes, quiet_minutes = excluded.quiet_minutes, updated_at = now()`,
			user, s.Way, s.TelegramID, s.AfterMinutes, s.QuietMinutes)
		return err
	})
	if err != nil {
		return fmt.Errorf("saying what a user wants to be told: %w", err)
	}
	return nil
}

func userExists(ctx context.Context, tx pgx.Tx, user int64) error {
	var there bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM core_users WHERE id = $1 AND NOT service)", user).Scan(&there); err != nil {
		return err
	}
	if !there {
		return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no user %d.", user)}
	}
	return nil
}

// AlertBot is the channel whose bot tells the tenant's agents, empty when none.
func (db *DB) AlertBot(ctx context.Context, tenant events.TenantID) (id events.ChannelID, err error) {
	if err := validTenant(tenant); err != nil {
		return "", err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, "SELECT channel_id::text FROM parley_alert_bots").Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return id, err
}

// SetAlertBot chooses the bot that tells the tenant's agents. It fails with
// NotFound, and with Invalid when the channel is not Telegram's.
func (db *DB) SetAlertBot(ctx context.Context, tenant events.TenantID, channel events.ChannelID) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	if uuid.Validate(string(channel)) != nil {
		return noChannel(channel)
	}
	return db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		var transport events.Transport
		err := tx.QueryRow(ctx, "SELECT transport FROM parley_channels WHERE id = $1", string(channel)).Scan(&transport)
		if errors.Is(err, pgx.ErrNoRows) {
			return noChannel(channel)
		}
		if err == nil && transport != events.Telegram {
			return &inbox.Error{Code: inbox.Invalid, Message: "The channel is no Telegram bot.", Hint: "Choose a channel of Telegram."}
		}
		if err == nil {
			_, err = tx.Exec(ctx, "INSERT INTO parley_alert_bots (channel_id) VALUES ($1) ON CONFLICT (tenant_id) DO UPDATE SET channel_id = excluded.channel_id", string(channel))
		}
		return err
	})
}
