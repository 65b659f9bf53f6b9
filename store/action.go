package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// limits of reactions; an emoji is several code points at most.
const (
	maxReactions = 10
	maxEmoji     = 64 // bytes
)

// Act is what an agent wants done to a message.
type Act struct {
	Tenant  events.TenantID
	Message int64
	inbox.Action
	// Can is what the channels can do; what is not there can nothing.
	Can map[events.ChannelID]inbox.Abilities
}

// actedOn is the message that an action is about.
type actedOn struct {
	chat               int64
	direction          inbox.Direction
	channel, name      string
	member, lane       *string
	known              bool
	state              *string
	parts              int
	caption, reachable bool
}

// Act queues an action behind everything that was queued to the same person, and
// returns the message as it is: it changes once the provider has accepted. It
// fails with Invalid, NotFound, or Refused in words where the channel or the
// message does not allow it.
func (db *DB) Act(ctx context.Context, a Act) (m inbox.Message, err error) {
	if err := errors.Join(validTenant(a.Tenant), a.validate()); err != nil {
		return m, err
	}
	err = db.inTenant(ctx, a.Tenant, func(tx pgx.Tx) error {
		var chat int64
		err := tx.QueryRow(ctx, "SELECT chat_id FROM crm_chat_messages WHERE id = $1", a.Message).Scan(&chat)
		if errors.Is(err, pgx.ErrNoRows) {
			return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no message %d.", a.Message)}
		}
		if err != nil {
			return err
		}
		locked, err := lockChat(ctx, tx, chat)
		if err != nil {
			return err
		}
		on, err := readActedOn(ctx, tx, a.Message)
		if err != nil {
			return err
		}
		if err := a.allowed(on, locked.blocked); err != nil {
			return err
		}
		// Numbered under the chat's lock.
		_, err = tx.Exec(ctx, `
			INSERT INTO parley_deliveries (message_id, chat_id, channel_id, member_id, lane, action, action_no)
			VALUES ($1, $2, $3, $4, $5, $6, 1 + coalesce((SELECT max(action_no) FROM parley_deliveries WHERE message_id = $1), 0))`,
			a.Message, on.chat, on.channel, on.member, on.lane, a.Action)
		if err != nil {
			return err
		}
		m, err = messageByID(ctx, tx, a.Message)
		return err
	})
	if err != nil {
		return m, fmt.Errorf("acting on a message: %w", err)
	}
	return m, nil
}

// readActedOn finds the message with the person it was written to or by.
func readActedOn(ctx context.Context, tx pgx.Tx, message int64) (on actedOn, err error) {
	err = tx.QueryRow(ctx, `
		SELECT m.chat_id, m.direction, coalesce(m.channel_id::text, ''), coalesce(ch.name, ''), p.id::text, nullif(p.address, ''),
		       m.provider_message IS NOT NULL OR d.id IS NOT NULL, d.state, coalesce(d.parts, 0),
		       EXISTS (SELECT FROM crm_chat_message_attachments f WHERE f.message_id = m.id), p.unreachable_at IS NULL
		  FROM crm_chat_messages m
		  LEFT JOIN parley_channels ch ON ch.id = m.channel_id
		  LEFT JOIN parley_deliveries d ON d.message_id = m.id AND d.action_no = 0
		  LEFT JOIN LATERAL (
			SELECT p.id, p.address, p.unreachable_at FROM crm_chat_members p
			 WHERE p.id = coalesce(d.member_id, CASE WHEN m.direction = 'in' THEN m.sender_id END)
			   AND p.channel_id = m.channel_id) p ON true
		 WHERE m.id = $1`, message).
		Scan(&on.chat, &on.direction, &on.channel, &on.name, &on.member, &on.lane, &on.known, &on.state, &on.parts, &on.caption, &on.reachable)
	return on, err
}

func (a *Act) validate() error {
	if a.Text != nil {
		text := *a.Text
		switch {
		case strings.TrimSpace(text) == "":
			return &inbox.Error{Code: inbox.Invalid, Message: "The new text is empty.", Hint: "Write something."}
		case len(text) > MaxReply, !isText(text):
			return &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("The new text is not text of at most %d bytes.", MaxReply)}
		}
		return nil
	}
	if len(a.Emoji) > maxReactions {
		return &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("There are %d reactions; %d is the most.", len(a.Emoji), maxReactions)}
	}
	for _, e := range a.Emoji {
		if e == "" || len(e) > maxEmoji || !isText(e) {
			return &inbox.Error{Code: inbox.Invalid, Message: "A reaction is no emoji.", Hint: "Use one emoji each, or none to take reactions back."}
		}
	}
	return nil
}

// allowed refuses what the message, its channel or its person does not allow.
func (a *Act) allowed(on actedOn, blocked bool) error {
	can := a.Can[events.ChannelID(on.channel)]
	why, hint := "", ""
	switch {
	case blocked:
		why, hint = "The client is blocked.", "Unblock the client first."
	case on.member == nil || on.lane == nil || !on.known:
		why = "The message is not known at any provider."
	case !on.reachable:
		why, hint = fmt.Sprintf("The client cannot be reached on channel %q.", on.name), "Wait until they write there again."
	case a.Text == nil && !can.Reactions:
		why, hint = fmt.Sprintf("Channel %q has no reactions.", on.name), "Write an answer instead."
	case a.Text == nil:
	case !can.Edits:
		why, hint = fmt.Sprintf("Messages on channel %q cannot be changed once they are sent.", on.name), "Write another message instead."
	case on.direction != inbox.Out || on.state == nil:
		why, hint = "Only what was sent from here can be changed.", "Write another message instead."
	case *on.state == string(inbox.Failed) || *on.state == string(inbox.Cancelled):
		why, hint = fmt.Sprintf("The message was not sent: it is %s.", *on.state), "Write another message instead."
	case on.parts > 1:
		why, hint = fmt.Sprintf("The message left as %d messages, which cannot be changed as one.", on.parts), "Write another message instead."
	case can.Fits != nil && !can.Fits(*a.Text, on.caption):
		why, hint = "The new text does not fit one message.", "Shorten it."
	}
	if why == "" {
		return nil
	}
	return &inbox.Error{Code: inbox.Refused, Message: why, Hint: hint}
}
