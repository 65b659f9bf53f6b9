package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// typingNotified is the PostgreSQL channel on which dispatchers are told.
const typingNotified = "parley_typing"

// Typing is somebody here who writes to a person at this moment.
type Typing struct {
	Channel events.ChannelID `json:"channel"`
	// To is the person's address.
	To string `json:"to"`
}

// ShowTyping tells the dispatchers that an agent writes to a chat's client, by
// the channel that a reply would take, or the named one. Nothing is stored, and
// nobody hears of it who does not listen. It reports false where that cannot be
// shown: the channel does not do that, or takes no message now. It fails with
// NotFound.
func (db *DB) ShowTyping(ctx context.Context, tenant events.TenantID, chat int64, channel events.ChannelID, can map[events.ChannelID]inbox.Abilities) (shown bool, err error) {
	if err := errors.Join(validTenant(tenant), validChat(chat)); err != nil {
		return false, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		var blocked bool
		err := tx.QueryRow(ctx, `SELECT cl.blocked_at IS NOT NULL FROM crm_chats c JOIN crm_clients cl ON cl.id = c.client_id WHERE c.id = $1`, chat).
			Scan(&blocked)
		if errors.Is(err, pgx.ErrNoRows) {
			return noChat(chat)
		}
		if err != nil || blocked {
			return err
		}
		way, err := chooseRoute(ctx, tx, Reply{Tenant: tenant, Chat: chat, Channel: channel, Can: can})
		if inbox.CodeOf(err) == inbox.Refused || err == nil && !can[way.Channel].Typing {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := json.Marshal(Typing{Channel: way.Channel, To: way.Address})
		if err != nil {
			return err
		}
		shown = true
		_, err = tx.Exec(ctx, "SELECT pg_notify($1, $2)", typingNotified, string(data))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("showing that somebody types: %w", err)
	}
	return shown, nil
}
