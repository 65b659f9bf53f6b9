package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Draft returns what a user has begun to write in a chat; an empty one with no
// UpdatedAt when nothing.
func (db *DB) Draft(ctx context.Context, tenant events.TenantID, chat, user int64) (d inbox.Draft, err error) {
	if err := errors.Join(validTenant(tenant), validChat(chat)); err != nil {
		return inbox.Draft{}, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if err := chatExists(ctx, tx, chat); err != nil {
			return err
		}
		d.ChatID = chat
		err := tx.QueryRow(ctx, `SELECT text, coalesce(channel_id::text, ''), coalesce(reply_to, 0), updated_at
			FROM parley_drafts WHERE chat_id = $1 AND user_id = $2`, chat, user).Scan(&d.Text, &d.Channel, &d.ReplyTo, &d.UpdatedAt)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return inbox.Draft{}, fmt.Errorf("reading a draft: %w", err)
	}
	return d, nil
}

// clearDraft removes what a user has begun to write in a chat: it is said.
func clearDraft(ctx context.Context, tx pgx.Tx, chat, user int64) error {
	_, err := tx.Exec(ctx, "DELETE FROM parley_drafts WHERE chat_id = $1 AND user_id = $2", chat, user)
	return err
}

// PutDraft keeps what a user has begun to write in d.ChatID, instead of what was
// kept before; an empty text removes it.
func (db *DB) PutDraft(ctx context.Context, tenant events.TenantID, user int64, d inbox.Draft) error {
	if err := errors.Join(validTenant(tenant), validChat(d.ChatID)); err != nil {
		return err
	}
	if len(d.Text) > MaxReply || !isText(d.Text) {
		return &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("A draft is UTF-8 text of at most %d bytes.", MaxReply)}
	}
	err := db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if err := chatExists(ctx, tx, d.ChatID); err != nil {
			return err
		}
		if d.Text == "" {
			return clearDraft(ctx, tx, d.ChatID, user)
		}
		_, err := tx.Exec(ctx, `INSERT INTO parley_drafts (chat_id, user_id, text, channel_id, reply_to) VALUES ($1, $2, $3, nullif($4, '')::uuid, nullif($5, 0))
			ON CONFLICT (chat_id, user_id) DO UPDATE
			   SET text = excluded.text, channel_id = excluded.channel_id, reply_to = excluded.reply_to, updated_at = clock_timestamp()`,
			d.ChatID, user, d.Text, string(d.Channel), d.ReplyTo)
		switch {
		case violates(err, "parley_drafts_channel"):
			return noChannel(d.Channel)
		case violates(err, "parley_drafts_reply_to"):
			return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no message %d.", d.ReplyTo)}
		case violates(err, "parley_drafts_user"):
			return noAccount(user, pgx.ErrNoRows)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("keeping a draft: %w", err)
	}
	return nil
}
