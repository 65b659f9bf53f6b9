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
	sqlAnswered = `
SELECT i.id, x.id, x.seq, x.direction, left(x.message, 200)
  FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[]) AS i (id, channel_id, chat, message)
  JOIN crm_chat_messages m ON m.id = i.id
  JOIN crm_chat_messages x ON x.chat_id = m.chat_id AND x.id = coalesce(
       (SELECT t.id FROM crm_chat_messages t WHERE t.channel_id = i.channel_id AND t.provider_chat = i.chat
           AND t.provider_message = i.message AND t.part = 0 AND t.provider_message IS NOT NULL),
       (SELECT d.message_id FROM parley_attempts a JOIN parley_deliveries d ON d.id = a.delivery_id
         WHERE a.channel_id = i.channel_id AND a.provider_chat = i.chat AND a.provider_id = i.message AND a.provider_id IS NOT NULL),
       (SELECT d.message_id FROM parley_albums b JOIN parley_deliveries d ON d.id = b.delivery_id
         WHERE b.channel_id = i.channel_id AND b.provider_chat = i.chat AND b.provider_id = i.message))`
	sqlLinks = `
SELECT DISTINCT l.message_id, c.id, btrim(concat_ws(' ', cl.first_name, cl.last_name)), l.why
  FROM parley_links l JOIN crm_chats was ON was.id = l.chat_id JOIN crm_chats c ON c.id = coalesce(was.merged_into, was.id)
  JOIN crm_clients cl ON cl.id = c.client_id JOIN crm_chat_messages m ON m.id = l.message_id
 WHERE l.message_id = ANY ($1::bigint[]) AND m.chat_id <> c.id ORDER BY 1, 2, 4`
)

// complete fills in the messages' reactions, earlier texts, what they answer, other
// ways and links,
// in one round trip.
func complete(ctx context.Context, tx pgx.Tx, ms []inbox.Message) error {
	if len(ms) == 0 {
		return nil
	}
	byID := make(map[int64]*inbox.Message, len(ms))
	ids := make([]int64, len(ms))
	var edited, in []int64
	var answering struct {
		ids                       []int64
		channels, chats, messages []string
	}
	for i := range ms {
		m := &ms[i]
		byID[m.ID], ids[i] = m, m.ID
		if m.EditedAt != nil {
			edited = append(edited, m.ID)
		}
		if m.Direction == inbox.In {
			in = append(in, m.ID)
		}
		if c := m.Content; c != nil && c.Mail == nil && c.ReplyTo != nil && m.Channel != "" {
			answering.ids, answering.channels = append(answering.ids, m.ID), append(answering.channels, string(m.Channel))
			answering.chats, answering.messages = append(answering.chats, c.ReplyTo.Chat), append(answering.messages, c.ReplyTo.Message)
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
	if len(answering.ids) > 0 {
		var a inbox.Answered
		q.Queue(sqlAnswered, answering.ids, answering.channels, answering.chats, answering.messages).
			Query(collect([]any{&a.ID, &a.Seq, &a.Direction, &a.Text}, func(m *inbox.Message) { m.Answers = new(a) }))
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
