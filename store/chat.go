package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Limits of a page of chats.
const (
	DefaultChats = 50
	MaxChats     = 200
)

// MaxUnread is where counting a chat's unread messages stops: MaxUnread means
// that many or more.
const MaxUnread = 1000

const maxUnreadSQL = "1000" // MaxUnread

// ChatPage says which chats to list; the zero value is the newest DefaultChats.
type ChatPage struct {
	// Cursor is what an earlier page returned, empty for the first.
	Cursor string
	// Limit is DefaultChats when 0, and at most MaxChats.
	Limit int
	// Unread lists only chats with unread messages.
	Unread bool
}

// activity is what chats are ordered by; a chat without messages, made by
// another program, counts from its making. The index parley_chats_activity finds
// the slot of time that it falls into: activity_slot.
const activity = "(CASE WHEN c.last_message_at IS NULL THEN c.created_at ELSE c.last_message_at END)"

const chatColumns = `c.id, c.last_message_at, c.last_seq, ` + activity + `,
	cl.id, cl.first_name, coalesce(cl.last_name, ''), coalesce(cl.phone_number, ''), coalesce(cl.email, ''),
	cl.blocked_at, cl.created_at,
	(SELECT count(*) FROM (
		SELECT FROM crm_chat_messages u
		 WHERE u.chat_id = c.id AND u.read_at IS NULL AND u.direction = 'in' LIMIT ` + maxUnreadSQL + `) capped),
	coalesce(last.message, '')`

// chatJoins find the newest message by the end of the chat's (chat_id, seq)
// index, so a page costs the same however long the chats are.
const chatJoins = `
	JOIN crm_clients cl ON cl.id = c.client_id
	LEFT JOIN LATERAL (
		SELECT left(m.message, 300) AS message FROM crm_chat_messages m
		 WHERE m.chat_id = c.id ORDER BY m.seq DESC LIMIT 1) last ON true`

// chatRow is a chat with what its cursor is made of.
type chatRow struct {
	inbox.Chat
	at time.Time
}

func scanChat(row pgx.CollectableRow) (c chatRow, err error) {
	cl := &c.Client
	err = row.Scan(&c.ID, &c.LastMessageAt, &c.LastSeq, &c.at,
		&cl.ID, &cl.FirstName, &cl.LastName, &cl.Phone, &cl.Email, &cl.BlockedAt, &cl.CreatedAt,
		&c.Unread, &c.Last)
	return c, err
}

// Chats lists chats, the last active first, without their routes. It returns
// the cursor of the next page, empty when this was the last. A chat that becomes
// active between two pages may be on both, or on neither: it moved to the front.
func (db *DB) Chats(ctx context.Context, tenant events.TenantID, page ChatPage) (chats []inbox.Chat, next string, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, "", err
	}
	sql, args, err := page.sql()
	if err != nil {
		return nil, "", err
	}
	var rows []chatRow
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		r, _ := tx.Query(ctx, sql, args...)
		rows, err = pgx.CollectRows(r, scanChat)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("listing chats: %w", err)
	}
	if limit := page.limit(); len(rows) > limit {
		rows = rows[:limit]
		next = chatCursor(rows[limit-1])
	}
	chats = make([]inbox.Chat, len(rows))
	for i, r := range rows {
		chats[i] = r.Chat
	}
	return chats, next, nil
}

func (p ChatPage) limit() int {
	if p.Limit <= 0 {
		return DefaultChats
	}
	return min(p.Limit, MaxChats)
}

// sql selects the page and one chat more, which tells whether there is a next.
func (p ChatPage) sql() (string, []any, error) {
	where, args := "c.merged_into IS NULL", []any{p.limit() + 1}
	if p.Cursor != "" {
		at, id, err := parseChatCursor(p.Cursor)
		if err != nil {
			return "", nil, err
		}
		where += " AND c.activity_slot <= $2 AND (" + activity + ", c.id) < ($2, $3)"
		args = append(args, at, id)
	}
	if p.Unread {
		where += ` AND EXISTS (
			SELECT FROM crm_chat_messages u WHERE u.chat_id = c.id AND u.read_at IS NULL AND u.direction = 'in')`
	}
	// The page is cut before anything is joined to it.
	return `
		WITH c AS MATERIALIZED (
			SELECT c.* FROM crm_chats c WHERE ` + where + `
			 ORDER BY c.activity_slot DESC, ` + activity + ` DESC, c.id DESC LIMIT $1)
		SELECT ` + chatColumns + ` FROM c` + chatJoins + `
		 ORDER BY ` + activity + ` DESC, c.id DESC`, args, nil
}

func chatCursor(c chatRow) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", c.at.UnixMicro(), c.ID))
}

func parseChatCursor(cursor string) (at time.Time, id int64, err error) {
	invalid := &inbox.Error{
		Code: inbox.Invalid, Message: "The cursor is none that a list of chats returned.",
		Hint: "Leave it out to start from the newest chat.",
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return at, 0, invalid
	}
	micros, chat, ok := strings.Cut(string(text), ".")
	us, err := strconv.ParseInt(micros, 10, 64)
	if !ok || err != nil {
		return at, 0, invalid
	}
	if id, err = strconv.ParseInt(chat, 10, 32); err != nil {
		return at, 0, invalid
	}
	return time.UnixMicro(us), id, nil
}

// Chat returns one chat with its routes, or NotFound.
func (db *DB) Chat(ctx context.Context, tenant events.TenantID, id int64) (chat inbox.Chat, err error) {
	if err := validTenant(tenant); err != nil {
		return inbox.Chat{}, err
	}
	if err := validChat(id); err != nil {
		return inbox.Chat{}, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, "SELECT "+chatColumns+" FROM crm_chats c"+chatJoins+" WHERE c.id = $1", id)
		row, err := pgx.CollectExactlyOneRow(rows, scanChat)
		if errors.Is(err, pgx.ErrNoRows) {
			return noChat(id)
		}
		if err != nil {
			return err
		}
		chat = row.Chat
		routes, err := routesOf(ctx, tx, id)
		for _, r := range routes {
			chat.Routes = append(chat.Routes, r.Route)
		}
		return err
	})
	if err != nil {
		return inbox.Chat{}, fmt.Errorf("reading a chat: %w", err)
	}
	return chat, nil
}

// route is a Route with the member that it leads to.
type route struct {
	inbox.Route
	member string
	// template is what a reply is sent as instead of its text, nil for none.
	template *inbox.Template
}

// routesOf lists the ways to a chat's client, the best first: where they can be
// reached, and wrote last.
func routesOf(ctx context.Context, tx pgx.Tx, chat int64) ([]route, error) {
	// A channel that the provider refused takes no more while something waits to
	// try it again.
	rows, _ := tx.Query(ctx, `
		SELECT m.id::text, ch.id::text, ch.name, m.transport, m.address, last.created_at,
		       CASE WHEN m.unreachable_at IS NULL THEN '' ELSE coalesce(nullif(m.unreachable_why, ''), 'unreachable') END,
		       ch.paused_at IS NOT NULL, last.sent_at,
		       CASE WHEN s.state = 'needs_attention' AND EXISTS (SELECT FROM parley_lanes l WHERE l.channel_id = ch.id)
		            THEN coalesce(nullif(s.words, ''), 'the provider refuses it') ELSE '' END
		  FROM crm_chat_members m
		  JOIN parley_channels ch ON ch.id = m.channel_id
		  LEFT JOIN parley_senders s ON s.tenant_id = ch.tenant_id AND s.channel_id = ch.id
		  LEFT JOIN LATERAL (
			SELECT i.created_at, i.sent_at FROM crm_chat_messages i
			 WHERE i.chat_id = m.chat_id AND i.sender_id = m.id AND i.direction = 'in' ORDER BY i.seq DESC LIMIT 1) last ON true
		 WHERE m.chat_id = $1 AND m.client_id IS NOT NULL AND m.address <> ''
		 ORDER BY m.unreachable_at IS NOT NULL, ch.paused_at IS NOT NULL, last.created_at DESC NULLS LAST, m.created_at, m.id`, chat)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r route, err error) {
		var sent *time.Time
		var trouble string
		err = row.Scan(&r.member, &r.Channel, &r.Name, &r.Transport, &r.Address, &r.LastInboundAt, &r.Unreachable, &r.Paused, &sent, &trouble)
		r.Know(sent, trouble)
		return r, err
	})
}

// validChat refuses ids that no chat can have: they do not fit the column.
func validChat(id int64) error {
	if id < 1 || id > math.MaxInt32 {
		return noChat(id)
	}
	return nil
}

func noChat(id int64) error {
	return &inbox.Error{
		Code: inbox.NotFound, Message: fmt.Sprintf("There is no chat %d.", id),
		Hint: "List the chats to see which there are.",
	}
}
