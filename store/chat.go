package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// MaxUnread is where counting stops: MaxUnread means that many or more.
const MaxUnread = 100

const maxUnreadSQL = "100" // MaxUnread

// activity is what chats are ordered by; a chat without messages, made by
// another program, counts from its making. The index parley_chats_folder finds
// the slot of time that it falls into: activity_slot.
const activity = "(CASE WHEN c.last_message_at IS NULL THEN c.created_at ELSE c.last_message_at END)"

const chatColumns = `c.id, c.last_message_at, c.last_seq, ` + activity + `,
	cl.id, cl.first_name, coalesce(cl.last_name, ''), coalesce(cl.phone_number, ''), coalesce(cl.email, ''),
	cl.blocked_at, cl.created_at,
	CASE WHEN c.unread THEN (SELECT count(*) FROM (
		SELECT FROM crm_chat_messages u
		 WHERE u.chat_id = c.id AND u.read_at IS NULL AND u.direction = 'in' LIMIT ` + maxUnreadSQL + `) capped) ELSE 0 END,
	coalesce(last.message, ''), coalesce(last.direction, ''), coalesce(last.transport, ''),
	c.status, c.snoozed_until, c.assignee_id, au.name, c.team_id, t.name,
	(SELECT json_agg(json_build_object('id', l.id, 'name', l.name, 'colour', l.colour) ORDER BY lower(l.name), l.id)
	   FROM parley_chat_labels x, LATERAL (SELECT * FROM parley_labels l WHERE l.id = x.label_id OFFSET 0) l WHERE x.chat_id = c.id)`

// chatJoins find the newest message by the end of the chat's (chat_id, seq)
// index, so a page costs the same however long the chats are.
const chatJoins = `
	JOIN crm_clients cl ON cl.id = c.client_id
	LEFT JOIN core_users au ON au.id = c.assignee_id
	LEFT JOIN parley_teams t ON t.id = c.team_id
	LEFT JOIN LATERAL (
		SELECT left(m.message, 300) AS message, m.direction, mb.transport
		  FROM crm_chat_messages m JOIN crm_chat_members mb ON mb.id = m.sender_id
		 WHERE m.chat_id = c.id ORDER BY m.seq DESC LIMIT 1) last ON true`

// chatRow is a chat with what its cursor is made of.
type chatRow struct {
	inbox.Chat
	at time.Time
}

func scanChat(row pgx.CollectableRow) (c chatRow, err error) {
	cl := &c.Client
	var assignee, team *int64
	var assigneeName, teamName *string
	err = row.Scan(&c.ID, &c.LastMessageAt, &c.LastSeq, &c.at,
		&cl.ID, &cl.FirstName, &cl.LastName, &cl.Phone, &cl.Email, &cl.BlockedAt, &cl.CreatedAt,
		&c.Unread, &c.Last, &c.LastDirection, &c.LastTransport,
		&c.Status, &c.SnoozedUntil, &assignee, &assigneeName, &team, &teamName, &c.Labels)
	c.Assignee, c.Team = named(assignee, assigneeName), named(team, teamName)
	if c.Labels == nil {
		c.Labels = []inbox.Label{}
	}
	return c, err
}

func named(id *int64, name *string) *inbox.Named {
	if id == nil {
		return nil
	}
	n := &inbox.Named{ID: *id}
	if name != nil {
		n.Name = *name
	}
	return n
}

// Chat returns one chat with its routes, or NotFound.
func (db *DB) Chat(ctx context.Context, tenant events.TenantID, id int64) (chat inbox.Chat, err error) {
	if err := validTenant(tenant); err != nil {
		return inbox.Chat{}, err
	}
	if err := validChat(id); err != nil {
		return inbox.Chat{}, err
	}
	err = db.inTenantPlanned(ctx, tenant, func(tx pgx.Tx) error {
		if chat, err = chatByID(ctx, tx, id); err != nil {
			return err
		}
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

// chatByID reads a chat without its routes.
func chatByID(ctx context.Context, tx pgx.Tx, id int64) (inbox.Chat, error) {
	rows, _ := tx.Query(ctx, "SELECT "+chatColumns+" FROM crm_chats c"+chatJoins+" WHERE c.id = $1", id)
	row, err := pgx.CollectExactlyOneRow(rows, scanChat)
	if errors.Is(err, pgx.ErrNoRows) {
		return inbox.Chat{}, noChat(id)
	}
	return row.Chat, err
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
	// try it again. When somebody wrote last is mostly among the newest messages:
	// there it is looked for first, as all that one person ever wrote may be much.
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
			(SELECT i.created_at, i.sent_at FROM (
				SELECT n.seq, n.sender_id, n.direction, n.created_at, n.sent_at FROM crm_chat_messages n
				 WHERE n.chat_id = m.chat_id ORDER BY n.seq DESC LIMIT 50) i
			  WHERE i.sender_id = m.id AND i.direction = 'in' ORDER BY i.seq DESC LIMIT 1)
			UNION ALL
			(SELECT i.created_at, i.sent_at FROM crm_chat_messages i
			  WHERE i.chat_id = m.chat_id AND i.sender_id = m.id AND i.direction = 'in' ORDER BY i.seq DESC LIMIT 1)
			LIMIT 1) last ON true
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
