package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Limits of a page of messages.
const (
	DefaultMessages = 50
	MaxMessages     = 200
)

// FormerAgent is the sender's name once their user is gone.
const FormerAgent = "former agent"

// MessagePage says which messages of a chat to list. At most one of Before,
// After and Around may be set; with none it is the newest ones.
type MessagePage struct {
	// Before and After list the messages next to that seq, which is not among
	// them; Around lists some from both sides of it, and itself.
	Before, After, Around int64
	// Limit is DefaultMessages when 0, and at most MaxMessages.
	Limit int
}

const messageSelect = `
	SELECT m.id, m.chat_id, m.seq, m.direction, m.kind, m.message, m.content, mb.transport, coalesce(m.channel_id::text, ''),
	       coalesce(u.name, nullif(btrim(concat_ws(' ', cl.first_name, cl.last_name)), ''), '` + FormerAgent + `'), m.sender_id,
	       m.created_at, m.sent_at, m.read_at, m.edited_at, coalesce(m.routed_by, ''), m.late,
	       d.id, d.state, d.attempts, d.parts_sent, d.parts, d.due_at, d.code, d.words
	  FROM crm_chat_messages m
	  JOIN crm_chat_members mb ON mb.id = m.sender_id
	  LEFT JOIN core_users u ON u.id = mb.user_id
	  LEFT JOIN crm_clients cl ON cl.id = mb.client_id
	  LEFT JOIN parley_deliveries d ON d.message_id = m.id AND d.action_no = 0`

func scanMessage(row pgx.CollectableRow) (m inbox.Message, err error) {
	var (
		delivery struct {
			id                       *int64
			state, code, words       *string
			attempts, partsSent, all *int
			due                      *time.Time
		}
		d = &delivery
	)
	err = row.Scan(&m.ID, &m.ChatID, &m.Seq, &m.Direction, &m.Kind, &m.Text, &m.Content, &m.Transport, &m.Channel,
		&m.Sender, &m.SenderID, &m.CreatedAt, &m.SentAt, &m.ReadAt, &m.EditedAt, &m.RoutedBy, &m.Late,
		&d.id, &d.state, &d.attempts, &d.partsSent, &d.all, &d.due, &d.code, &d.words)
	if err != nil || d.id == nil {
		return m, err
	}
	m.Delivery = &inbox.Delivery{
		ID: *d.id, State: inbox.DeliveryState(*d.state), Attempts: *d.attempts,
		PartsSent: *d.partsSent, Parts: *d.all, DueAt: *d.due,
	}
	if d.code != nil {
		m.Delivery.Code = *d.code
	}
	if d.words != nil {
		m.Delivery.Words = *d.words
	}
	return m, nil
}

// Messages lists a chat's messages by rising seq, and reports whether there are
// more beyond the page's open end: before it, for After behind it, and for
// Around at either end. It fails with NotFound when there is no such chat.
func (db *DB) Messages(ctx context.Context, tenant events.TenantID, chat int64, page MessagePage) (ms []inbox.Message, more bool, err error) {
	if err := errors.Join(validTenant(tenant), validChat(chat)); err != nil {
		return nil, false, err
	}
	limit := page.Limit
	if limit <= 0 {
		limit = DefaultMessages
	}
	limit = min(limit, MaxMessages)
	err = db.inTenantPlanned(ctx, tenant, func(tx pgx.Tx) error {
		if err := chatExists(ctx, tx, chat); err != nil {
			return err
		}
		switch {
		case page.After > 0:
			ms, more, err = messagesAfter(ctx, tx, chat, page.After, limit)
		case page.Around > 0:
			var before, after bool
			ms, before, err = messagesBefore(ctx, tx, chat, page.Around+1, (limit+1)/2)
			if err != nil {
				return err
			}
			var later []inbox.Message
			later, after, err = messagesAfter(ctx, tx, chat, page.Around, limit-len(ms))
			ms, more = append(ms, later...), before || after
		default:
			ms, more, err = messagesBefore(ctx, tx, chat, page.Before, limit)
		}
		if err != nil {
			return err
		}
		if err := attach(ctx, tx, ms); err != nil {
			return err
		}
		return complete(ctx, tx, ms)
	})
	if err != nil {
		return nil, false, fmt.Errorf("listing messages: %w", err)
	}
	return ms, more, nil
}

// messagesBefore reads backwards from seq, or from the end when it is 0.
func messagesBefore(ctx context.Context, tx pgx.Tx, chat, seq int64, limit int) ([]inbox.Message, bool, error) {
	where, args := "", []any{chat}
	if seq > 0 {
		where, args = " AND m.seq < $2", append(args, seq)
	}
	rows, _ := tx.Query(ctx, messageSelect+" WHERE m.chat_id = $1"+where+" ORDER BY m.seq DESC LIMIT "+strconv.Itoa(limit+1), args...)
	ms, err := pgx.CollectRows(rows, scanMessage)
	more := len(ms) > limit
	ms = ms[:min(limit, len(ms))]
	slices.Reverse(ms)
	return ms, more, err
}

func messagesAfter(ctx context.Context, tx pgx.Tx, chat, seq int64, limit int) ([]inbox.Message, bool, error) {
	rows, _ := tx.Query(ctx, messageSelect+" WHERE m.chat_id = $1 AND m.seq > $2 ORDER BY m.seq LIMIT "+strconv.Itoa(limit+1), chat, seq)
	ms, err := pgx.CollectRows(rows, scanMessage)
	return ms[:min(limit, len(ms))], len(ms) > limit, err
}

// Message returns one message, or NotFound.
func (db *DB) Message(ctx context.Context, tenant events.TenantID, id int64) (m inbox.Message, err error) {
	if err := validTenant(tenant); err != nil {
		return inbox.Message{}, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if m, err = messageByID(ctx, tx, id); err != nil {
			return err
		}
		one := []inbox.Message{m}
		err = complete(ctx, tx, one)
		m = one[0]
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return inbox.Message{}, &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no message %d.", id)}
	}
	if err != nil {
		return inbox.Message{}, fmt.Errorf("reading a message: %w", err)
	}
	return m, nil
}

func messageByID(ctx context.Context, tx pgx.Tx, id int64) (inbox.Message, error) {
	rows, _ := tx.Query(ctx, messageSelect+" WHERE m.id = $1", id)
	m, err := pgx.CollectExactlyOneRow(rows, scanMessage)
	if err != nil {
		return inbox.Message{}, err
	}
	one := []inbox.Message{m}
	if err := attach(ctx, tx, one); err != nil {
		return inbox.Message{}, err
	}
	return one[0], nil
}

// MarkRead marks what the client wrote up to seq as read, and reports how many
// messages that were new to. It writes the fact (chat, read) if any.
func (db *DB) MarkRead(ctx context.Context, tenant events.TenantID, chat, seq int64) (n int64, err error) {
	if err := errors.Join(validTenant(tenant), validChat(chat)); err != nil {
		return 0, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if _, err := lockChat(ctx, tx, chat); err != nil {
			return err
		}
		n, err = markRead(ctx, tx, chat, seq)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("marking as read: %w", err)
	}
	return n, nil
}

// sqlHasUnread is what a chat c's unread says.
const sqlHasUnread = "EXISTS (SELECT FROM crm_chat_messages u WHERE u.chat_id = c.id AND u.direction = 'in' AND u.read_at IS NULL)"

// markRead needs the chat's lock, which keeps the chat's facts in order.
func markRead(ctx context.Context, tx pgx.Tx, chat, seq int64) (int64, error) {
	tag, err := tx.Exec(ctx, `
		UPDATE crm_chat_messages SET read_at = clock_timestamp()
		 WHERE chat_id = $1 AND seq <= $2 AND direction = 'in' AND read_at IS NULL`, chat, seq)
	if err != nil {
		return 0, err
	}
	if tag.RowsAffected() == 0 {
		// Messages that were unread may have been deleted by another program.
		_, err := tx.Exec(ctx, "UPDATE crm_chats c SET unread = false WHERE id = $1 AND unread AND NOT "+sqlHasUnread, chat)
		return 0, err
	}
	return tag.RowsAffected(), writeFact(ctx, tx, "chat", "read", chat, map[string]any{
		"chat_id": chat, "seq": seq, "messages": tag.RowsAffected(),
	})
}

// writeFact adds a fact of the session's tenant. A chat's facts are written
// under its lock, so that their ids order them.
func writeFact(ctx context.Context, tx pgx.Tx, noun, verb string, chat int64, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("fact %s.%s: %w", noun, verb, err)
	}
	_, err = tx.Exec(ctx, "INSERT INTO parley_facts (noun, verb, chat_id, data) VALUES ($1, $2, $3, $4)",
		noun, verb, chat, text)
	return err
}
