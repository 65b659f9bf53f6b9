package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// SenderHealth is how a channel fares as a sender.
type SenderHealth struct {
	Channel events.ChannelID   `db:"channel_id"`
	State   events.HealthState `db:"state"`
	// Words say why it is not connected.
	Words string    `db:"words"`
	Since time.Time `db:"since"`
}

// PutSenderHealth records how a channel fares as a sender, for the version of it
// that was tried; what is known of a newer one stays.
func (db *DB) PutSenderHealth(ctx context.Context, ch events.Channel, state events.HealthState, words string) error {
	_, err := db.worker.Exec(ctx, `
		INSERT INTO parley_senders AS s (channel_id, tenant_id, state, words, version)
		SELECT id, tenant_id, $2, $3, $4 FROM parley_channels WHERE id = $1 AND tenant_id = $5
		ON CONFLICT (tenant_id, channel_id) DO UPDATE
		   SET state = excluded.state, words = excluded.words, version = excluded.version,
		       since = CASE WHEN s.state = excluded.state THEN s.since ELSE excluded.since END
		 WHERE s.version <= excluded.version`,
		string(ch.ID), string(state), clean(words, maxWords), ch.Version, string(ch.Tenant))
	if err != nil {
		return fmt.Errorf("storing a channel's health: %w", err)
	}
	return nil
}

// ForgetSenderHealth forgets how older versions of a channel fared: what was
// wrong may have been put right.
func (db *DB) ForgetSenderHealth(ctx context.Context, ch events.Channel) error {
	_, err := db.worker.Exec(ctx, `
		DELETE FROM parley_senders WHERE tenant_id = $1 AND channel_id = $2 AND version < $3`, string(ch.Tenant), string(ch.ID), ch.Version)
	if err != nil {
		return fmt.Errorf("forgetting a channel's health: %w", err)
	}
	return nil
}

// SenderHealth is how the channels of every tenant fare as senders, as far as
// they were tried.
func (db *DB) SenderHealth(ctx context.Context) ([]SenderHealth, error) {
	rows, _ := db.worker.Query(ctx, "SELECT channel_id::text, state, words, since FROM parley_senders")
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[SenderHealth])
	if err != nil {
		return nil, fmt.Errorf("reading the channels' health: %w", err)
	}
	return list, nil
}
