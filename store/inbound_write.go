package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// sqlMessages raises each chat's seq, stores the messages in their order and
// writes their facts. The chats' rows are locked in id order by the update
// itself, so that two batches that share chats rarely deadlock; where a plan
// breaks that order PostgreSQL ends one of them, and the router tries it again.
const sqlMessages = `
WITH incoming AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::integer[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                         $7::text[], $8::jsonb[], $9::uuid[], $10::text[], $11::text[], $12::smallint[],
                         $13::timestamptz[], $14::text[], $15::uuid[], $16::bigint[]) WITH ORDINALITY
      AS i (tenant_id, chat_id, sender_id, message, sent_at, created_at,
            kind, content, channel_id, provider_chat, provider_message, part,
            provider_at, routed_by, event_id, stream_seq, ord)
),
raised AS (
    UPDATE crm_chats c
       SET last_seq = c.last_seq + n.messages, last_message_at = greatest(c.last_message_at, n.newest)
      FROM (SELECT chat_id, count(*) AS messages, max(created_at) AS newest
              FROM incoming GROUP BY chat_id ORDER BY chat_id) n
     WHERE c.id = n.chat_id
    RETURNING c.id, c.last_seq - n.messages AS base
),
stored AS (
    INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, sent_at, created_at, seq, direction,
           kind, content, channel_id, provider_chat, provider_message, part,
           provider_at, routed_by, event_id, stream_partition, stream_seq, late)
    SELECT i.tenant_id, i.chat_id, i.sender_id, i.message, i.sent_at, i.created_at,
           r.base + row_number() OVER (PARTITION BY i.chat_id ORDER BY i.ord), 'in',
           i.kind, i.content, i.channel_id, i.provider_chat, i.provider_message, i.part,
           i.provider_at, i.routed_by, i.event_id, $17::smallint, nullif(i.stream_seq, 0), $18
      FROM incoming i JOIN raised r ON r.id = i.chat_id
     ORDER BY i.ord
    RETURNING id, tenant_id, chat_id, sender_id, seq, message, kind, channel_id, created_at
)
INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data)
SELECT tenant_id, 'message', 'received', chat_id,
       json_build_object('message_id', id, 'chat_id', chat_id, 'seq', seq, 'sender_id', sender_id,
                         'kind', kind, 'text', message, 'channel_id', channel_id, 'created_at', created_at)
  FROM stored ORDER BY id`

const sqlIgnored = `
INSERT INTO parley_ignored (stream_partition, stream_seq, incarnation, tenant_id, channel_id, event_id, reason, event, accepted_at)
SELECT $1, i.seq, $2, i.tenant_id, i.channel_id, i.event_id, i.reason, i.event, i.accepted_at
  FROM unnest($3::bigint[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::jsonb[], $9::timestamptz[])
       AS i (seq, tenant_id, channel_id, event_id, reason, event, accepted_at)`

const sqlQuarantine = `
INSERT INTO parley_quarantine (tenant_id, stream_partition, stream_seq, incarnation, event, reason, sqlstate)
VALUES ((SELECT id FROM tenants WHERE id = $1), $2, $3, $4, $5, $6, nullif($7, ''))`

// write stores messages, ignored and quarantined events in one round trip.
func (b *batch) write(ctx context.Context, tx pgx.Tx) error {
	var q pgx.Batch
	if err := b.queueMessages(&q); err != nil {
		return err
	}
	if err := b.queueIgnored(&q); err != nil {
		return err
	}
	for ord := range b.records {
		if rec := &b.records[ord]; b.result.Outcomes[ord] == Quarantined && !b.late {
			q.Queue(sqlQuarantine, tenantOf(rec), b.partition, int64(rec.Seq), b.incarnation, //nolint:gosec // a stream sequence
				rec.Data, rec.Unstorable.Reason, rec.Unstorable.SQLState)
		}
	}
	if q.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, &q).Close()
}

// tenantOf is the record's tenant, or nil when it does not name one.
func tenantOf(rec *InboundRecord) *string {
	if rec.Event == nil || !isUUID(string(rec.Event.Tenant)) {
		return nil
	}
	t := string(rec.Event.Tenant)
	return &t
}

// queueMessages queues the insert, and turns what blocked clients wrote into
// ignored events.
func (b *batch) queueMessages(q *pgx.Batch) error {
	var c messageColumns
	for _, in := range b.messages {
		if in.who.blocked {
			b.result.Outcomes[in.ord] = Ignored
			b.ignored = append(b.ignored, in)
			continue
		}
		b.result.Outcomes[in.ord] = Persisted
		if err := c.add(in); err != nil {
			return err
		}
	}
	if len(c.chats) == 0 {
		return nil
	}
	q.Queue(sqlMessages, append(c.args(), b.partition, b.late)...)
	return nil
}

// messageColumns are the arrays of sqlMessages.
type messageColumns struct {
	tenants, senders, texts, kinds, channels      []string
	providerChats, providerMessages, routes, uids []string
	chats, seqs                                   []int64
	sent, created                                 []time.Time
	provider                                      []*time.Time
	contents                                      [][]byte
	parts                                         []int16
}

func (c *messageColumns) add(in *inbound) error {
	ev := in.event
	content, err := json.Marshal(ev.Content)
	if err != nil {
		return fmt.Errorf("event %s: %w", ev.ID, err)
	}
	c.tenants = append(c.tenants, string(ev.Tenant))
	c.chats = append(c.chats, in.who.chat)
	c.senders = append(c.senders, in.who.member.String())
	c.texts = append(c.texts, ev.Content.Plain())
	c.sent = append(c.sent, sentAt(ev))
	c.created = append(c.created, ev.AcceptedAt)
	c.kinds = append(c.kinds, string(ev.Content.Type))
	c.contents = append(c.contents, content)
	c.channels = append(c.channels, string(ev.Channel))
	c.providerChats = append(c.providerChats, ev.Key.Chat)
	c.providerMessages = append(c.providerMessages, ev.Key.Message)
	c.parts = append(c.parts, int16(ev.Key.Part)) //nolint:gosec // adapters split a message into a handful of parts
	c.provider = append(c.provider, timeOrNil(ev.ProviderTime))
	c.routes = append(c.routes, in.who.routedBy)
	c.uids = append(c.uids, string(ev.ID))
	c.seqs = append(c.seqs, int64(in.seq)) //nolint:gosec // a stream sequence
	if in.who.routedBy != routedByMember {
		// Only the first message of a sender tells how they were found.
		in.who.routedBy = routedByMember
	}
	return nil
}

// routedByMember is crm_chat_messages.routed_by of everybody's second message.
const routedByMember = "member"

func (c *messageColumns) args() []any {
	return []any{
		c.tenants, c.chats, c.senders, c.texts, c.sent, c.created,
		c.kinds, c.contents, c.channels, c.providerChats, c.providerMessages, c.parts,
		c.provider, c.routes, c.uids, c.seqs,
	}
}

// queueIgnored queues the evidence of what is deliberately not a message.
func (b *batch) queueIgnored(q *pgx.Batch) error {
	// A replayed event is answered for by its quarantine row.
	if len(b.ignored) == 0 || b.late {
		return nil
	}
	n := len(b.ignored)
	seqs, accepted, full := make([]int64, n), make([]time.Time, n), make([][]byte, n)
	tenants, channels, ids, reasons := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, in := range b.ignored {
		ev := in.event
		seqs[i], accepted[i] = int64(in.seq), ev.AcceptedAt //nolint:gosec // a stream sequence
		tenants[i], channels[i], ids[i], reasons[i] = string(ev.Tenant), string(ev.Channel), string(ev.ID), ev.Reason
		if ev.Kind != events.Ignored {
			reasons[i] = "client is blocked"
			var err error
			if full[i], err = withoutRaw(ev); err != nil {
				return err
			}
		}
	}
	q.Queue(sqlIgnored, b.partition, b.incarnation, seqs, tenants, channels, ids, reasons, full, accepted)
	return nil
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
