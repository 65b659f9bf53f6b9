package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// replyPeople are the persons that replies are sent to, in turns.
const replyPeople = 1000

// sqlReplies writes what an agent's replies write, many at a time: the message,
// its place in the chat, the delivery, which wakes the dispatcher, and the fact.
// A reply's text is its person, load and number.
const sqlReplies = `
WITH lane AS (
    SELECT c.id AS chat_id, c.last_seq, p.id AS person, p.address, a.id AS agent
      FROM crm_chats c
      JOIN crm_chat_members p ON p.chat_id = c.id AND p.client_id IS NOT NULL
      JOIN crm_chat_members a ON a.chat_id = c.id AND a.user_id IS NOT NULL
     WHERE c.tenant_id = @tenant AND c.id <= @people
),
written AS (
    INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, seq, direction, kind, content, channel_id, created_at)
    SELECT @tenant, l.chat_id, l.agent, t.words, l.last_seq + k, 'out', 'text',
           jsonb_build_object('type', 'text', 'text', t.words), @channel, clock_timestamp()
      FROM generate_series(1, @each::int) k, lane l,
           LATERAL (SELECT 'reply ' || l.address || ' ' || @load::int || '.' || k || ' Thank you for your patience, your order is on its way.' AS words) t
     ORDER BY k, l.chat_id
    RETURNING id, chat_id, seq
),
raised AS (
    UPDATE crm_chats c SET last_seq = c.last_seq + @each, last_message_at = greatest(c.last_message_at, clock_timestamp())
      FROM lane l WHERE c.id = l.chat_id
),
queued AS (
    INSERT INTO parley_deliveries (tenant_id, message_id, chat_id, channel_id, member_id, lane)
    SELECT @tenant, w.id, w.chat_id, @channel, l.person, l.address
      FROM written w JOIN lane l USING (chat_id) ORDER BY w.id
    RETURNING message_id, chat_id
)
INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data)
SELECT @tenant, 'message', 'queued', chat_id, json_build_object('message_id', message_id, 'chat_id', chat_id)
  FROM queued ORDER BY message_id`

// queueReplies queues each person's replies in one transaction, and yields the
// moment before it committed.
func (c *cluster) queueReplies(ctx context.Context, b bot, load, people, each int) (began time.Time, err error) {
	err = pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlReplies, pgx.NamedArgs{
			"tenant": string(b.channel.Tenant), "channel": string(b.channel.ID), "load": load, "people": people, "each": each,
		})
		began = time.Now()
		return err
	})
	if err != nil {
		return began, fmt.Errorf("queueing replies: %w", err)
	}
	return began, nil
}

// settled waits until no reply waits for its turn or is under way.
func (c *cluster) settled(ctx context.Context, limit time.Duration, alive func() error) error {
	return until(ctx, limit, "the replies to leave", func() (bool, error) {
		var open bool
		err := c.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM parley_deliveries WHERE in_lane)`).Scan(&open)
		return err == nil && !open, errors.Join(err, alive())
	})
}
