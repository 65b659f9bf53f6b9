package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"parley/inbox"
)

// What there is to a message besides itself. Each looks a few dozen ids up by an
// index.
const (
	// sqlReactions has the client's reactions, and of the business what it did on
	// its phone and what agents did here; the latest of each side counts.
	sqlReactions = `
SELECT DISTINCT ON (message_id, ours) message_id, ours, by, emoji, at FROM (
    SELECT r.message_id, r.person = '' AS ours,
           CASE WHEN r.person = '' THEN coalesce(ch.name, '') ELSE btrim(concat_ws(' ', cl.first_name, cl.last_name)) END AS by, r.emoji, r.at
      FROM parley_reactions r
      JOIN crm_chat_messages m ON m.id = r.message_id
      JOIN crm_chats c ON c.id = m.chat_id JOIN crm_clients cl ON cl.id = c.client_id
      LEFT JOIN parley_channels ch ON ch.id = m.channel_id
     WHERE r.message_id = ANY ($1::bigint[])
    UNION ALL
    SELECT d.message_id, true, coalesce(u.name, '` + FormerAgent + `'),
           ARRAY(SELECT jsonb_array_elements_text(CASE WHEN jsonb_typeof(d.action -> 'emoji') = 'array' THEN d.action -> 'emoji' ELSE '[]' END)), d.updated_at
      FROM parley_deliveries d LEFT JOIN core_users u ON u.id = (d.action ->> 'user')::bigint
     WHERE d.message_id = ANY ($1::bigint[]) AND d.action_no > 0 AND d.state = 'sent' AND NOT d.action ? 'text'
) all_of_them ORDER BY message_id, ours, at DESC`
	sqlEdits = `
SELECT message_id, coalesce(before ->> 'text', ''), at FROM (
    SELECT u.message_id, u.before, coalesce((u.event ->> 'provider_time')::timestamptz, u.accepted_at) AS at FROM parley_updates u
     WHERE u.message_id = ANY ($1::bigint[]) AND u.kind = 'edit' AND u.before IS NOT NULL
    UNION ALL
    SELECT d.message_id, d.action -> 'before', d.updated_at FROM parley_deliveries d
     WHERE d.message_id = ANY ($1::bigint[]) AND d.action_no > 0 AND d.state = 'sent' AND d.action ? 'before'
) all_of_them ORDER BY message_id, at`
	sqlReceived = `
SELECT c.message_id, c.channel_id::text, coalesce(ch.name, ''), min(c.accepted_at)
  FROM parley_copies c
  JOIN crm_chat_messages m ON m.id = c.message_id AND m.direction = 'in'
  LEFT JOIN parley_channels ch ON ch.id = c.channel_id
 WHERE c.message_id = ANY ($1::bigint[]) GROUP BY 1, 2, 3 ORDER BY 1, 4`
	sqlLinks = `
SELECT DISTINCT l.message_id, c.id, btrim(concat_ws(' ', cl.first_name, cl.last_name)), l.why
  FROM parley_links l JOIN crm_chats was ON was.id = l.chat_id JOIN crm_chats c ON c.id = coalesce(was.merged_into, was.id)
  JOIN crm_clients cl ON cl.id = c.client_id JOIN crm_chat_messages m ON m.id = l.message_id
 WHERE l.message_id = ANY ($1::bigint[]) AND m.chat_id <> c.id ORDER BY 1, 2, 4`
)

// complete fills in the messages' reactions, earlier texts, other ways and links,
// in one round trip.
func complete(ctx context.Context, tx pgx.Tx, ms []inbox.Message) error {
	if len(ms) == 0 {
		return nil
	}
	byID := make(map[int64]*inbox.Message, len(ms))
	ids := make([]int64, len(ms))
	var edited, in []int64
	for i := range ms {
		m := &ms[i]
		byID[m.ID], ids[i] = m, m.ID
		if m.EditedAt != nil {
			edited = append(edited, m.ID)
		}
		if m.Direction == inbox.In {
			in = append(in, m.ID)
		}
	}
	var q pgx.Batch
	var id int64
	collect := func(into []any, add func(m *inbox.Message)) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, append([]any{&id}, into...), func() error {
				add(byID[id])
				return nil
			})
			return err
		}
	}
	var r inbox.Reaction
	q.Queue(sqlReactions, ids).Query(collect([]any{&r.Ours, &r.By, &r.Emoji, &r.At}, func(m *inbox.Message) {
		if len(r.Emoji) > 0 {
			m.Reactions = append(m.Reactions, inbox.Reaction{Emoji: slices.Clone(r.Emoji), Ours: r.Ours, By: r.By, At: r.At})
		}
	}))
	if len(edited) > 0 {
		var e inbox.Edit
		q.Queue(sqlEdits, edited).Query(collect([]any{&e.Text, &e.At}, func(m *inbox.Message) { m.Edits = append(m.Edits, e) }))
	}
	if len(in) > 0 {
		var via inbox.Received
		q.Queue(sqlReceived, in).Query(collect([]any{&via.Channel, &via.Name, &via.At}, func(m *inbox.Message) { m.ReceivedVia = append(m.ReceivedVia, via) }))
		var link inbox.ChatLink
		q.Queue(sqlLinks, in).Query(collect([]any{&link.Chat, &link.Client, &link.Why}, func(m *inbox.Message) { m.Links = append(m.Links, link) }))
	}
	if err := tx.SendBatch(ctx, &q).Close(); err != nil {
		return fmt.Errorf("what there is to messages: %w", err)
	}
	return nil
}
