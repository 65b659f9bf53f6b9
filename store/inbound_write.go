package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// sqlRaise takes the next seqs of the chats. Their rows are locked in id order,
// so that two batches that share chats do not wait for each other. Of the messages
// theirs is the first that the client wrote, 0 when none: it opens the chat again. A
// chat that was merged since its members were looked up takes no more.
const sqlRaise = `
UPDATE crm_chats c
   SET last_seq = c.last_seq + n.messages, last_message_at = greatest(c.last_message_at, n.newest),
       unread = c.unread OR n.theirs > 0,
       status = CASE WHEN n.theirs > 0 THEN 'open' ELSE c.status END,
       snoozed_until = CASE WHEN n.theirs = 0 THEN c.snoozed_until END,
       reopened_seq = CASE WHEN n.theirs > 0 AND c.status <> 'open' THEN c.last_seq + n.theirs ELSE c.reopened_seq END
  FROM unnest($1::integer[], $2::bigint[], $3::timestamptz[], $4::bigint[]) AS n (chat_id, messages, newest, theirs)
 WHERE c.id = n.chat_id AND c.merged_into IS NULL
RETURNING c.id, c.last_seq - n.messages, n.theirs > 0 AND c.reopened_seq IS NOT DISTINCT FROM c.last_seq - n.messages + n.theirs`

// sqlReopened tells that messages opened their chats again.
const sqlReopened = `
INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data)
SELECT tenant_id, 'chat', 'opened', id, json_build_object('chat_id', id, 'seq', reopened_seq)
  FROM crm_chats WHERE id = ANY ($1::integer[]) ORDER BY id`

// sqlMessages stores the messages and writes their facts, sqlOurs does so with
// what the business wrote in other programs. They join nothing, so that there is
// no plan to go wrong.
const (
	sqlMessages = sqlMessagesHead + "'in'" + sqlMessagesTail + "'received'" + sqlMessagesFact + sqlMessagesEnd
	sqlOurs     = sqlMessagesHead + "'out'" + sqlMessagesTail + "'sent'" + sqlMessagesFact + ",\n 'sent_at', sent_at, 'origin', 'elsewhere'" + sqlMessagesEnd

	sqlMessagesHead = `
WITH stored AS (
    INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, sent_at, created_at, seq, direction,
           kind, content, channel_id, provider_chat, provider_message, part,
           provider_at, routed_by, event_id, stream_partition, stream_seq, late)
    SELECT tenant_id, chat_id, sender_id, message, sent_at, created_at, seq, `
	sqlMessagesTail = `,
           kind, content, channel_id, provider_chat, provider_message, part,
           provider_at, routed_by, event_id, $18::smallint, nullif(stream_seq, 0), $19
      FROM unnest($1::uuid[], $2::integer[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                  $7::text[], $8::jsonb[], $9::uuid[], $10::text[], $11::text[], $12::smallint[],
                  $13::timestamptz[], $14::text[], $15::uuid[], $16::bigint[], $17::bigint[])
           AS i (tenant_id, chat_id, sender_id, message, sent_at, created_at,
                 kind, content, channel_id, provider_chat, provider_message, part,
                 provider_at, routed_by, event_id, stream_seq, seq)
    RETURNING id, tenant_id, chat_id, sender_id, seq, message, kind, channel_id, created_at, sent_at
)
INSERT INTO parley_facts (tenant_id, noun, verb, chat_ids, lines)
SELECT tenant_id, 'message', `
	sqlMessagesFact = `, array_agg(chat_id::bigint ORDER BY id),
       string_agg(json_build_object('message_id', id, 'chat_id', chat_id, 'seq', seq, 'sender_id', sender_id,
                                    'kind', kind, 'text', message, 'channel_id', channel_id, 'created_at', created_at`
	sqlMessagesEnd = `)::text,
                  E'\n' ORDER BY id)
  FROM stored GROUP BY tenant_id`
)

const sqlIgnored = `
INSERT INTO parley_ignored (stream_partition, stream_seq, stream_index, incarnation, tenant_id, channel_id, event_id, reason, event, accepted_at)
SELECT $1, i.seq, i.index, $2, i.tenant_id, i.channel_id, i.event_id, i.reason, i.event, i.accepted_at
  FROM unnest($3::bigint[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::jsonb[], $9::timestamptz[], $10::smallint[])
       AS i (seq, tenant_id, channel_id, event_id, reason, event, accepted_at, index)`

const sqlQuarantine = `
INSERT INTO parley_quarantine (tenant_id, stream_partition, stream_seq, stream_index, incarnation, event, reason, sqlstate)
VALUES ((SELECT id FROM tenants WHERE id = $1), $2, $3, $4, $5, $6, $7, nullif($8, ''))`

// write stores messages, ignored and quarantined events.
func (b *batch) write(ctx context.Context, tx pgx.Tx) error {
	kept := b.setBlockedAside()
	seqs, reopened, err := raise(ctx, tx, kept)
	if err != nil {
		return err
	}
	var q pgx.Batch
	if len(reopened) > 0 {
		q.Queue(sqlReopened, reopened)
	}
	if len(kept) > 0 {
		for _, run := range runs(kept) {
			var c messageColumns
			for i := run[0]; i < run[1]; i++ {
				if err := c.add(kept[i], seqs[i]); err != nil {
					return err
				}
				b.result.Outcomes[kept[i].ord] = Persisted
			}
			sql := sqlMessages
			if kept[run[0]].event.Ours {
				sql = sqlOurs
			}
			q.Queue(sql, append(c.args(), b.partition, b.late)...)
		}
		b.queueMedia(&q, kept, seqs)
		b.queueMoves(&q, kept)
		b.queueReached(&q, kept)
	}
	b.followOriginals()
	b.queueMails(&q, kept, seqs)
	if b.has.proven {
		b.queueProofs(&q)
	}
	if b.has.mail || b.has.proven {
		b.queueLinks(&q, kept, seqs)
	}
	if err := b.queueIgnored(&q); err != nil {
		return err
	}
	for ord := range b.records {
		if rec := &b.records[ord]; b.result.Outcomes[ord] == Quarantined && !b.late {
			q.Queue(sqlQuarantine, tenantOf(rec), b.partition, int64(rec.Seq), rec.Index, b.incarnation, //nolint:gosec // a stream sequence
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

// setBlockedAside returns the messages to store; what blocked clients wrote is
// ignored.
func (b *batch) setBlockedAside() []*inbound {
	kept := make([]*inbound, 0, len(b.messages))
	for _, in := range b.messages {
		if in.who.blocked && !in.event.Ours {
			b.result.Outcomes[in.ord] = Ignored
			in.ignored = "client is blocked"
			b.ignored = append(b.ignored, in)
			continue
		}
		kept = append(kept, in)
	}
	return kept
}

// raise takes a seq of its chat for each message, in their order, and holds the
// chats until the transaction ends. It names the chats that were opened again.
func raise(ctx context.Context, tx pgx.Tx, messages []*inbound) (seqs, reopened []int64, err error) {
	wanted := make(map[int64]*demand, len(messages))
	for _, in := range messages {
		if in.who.fresh {
			continue
		}
		d := wanted[in.who.chat]
		if d == nil {
			d = &demand{}
			wanted[in.who.chat] = d
		}
		d.messages++
		if d.theirs == 0 && !in.event.Ours {
			d.theirs = d.messages
		}
		if at := in.event.AcceptedAt; at.After(d.newest) {
			d.newest = at
		}
	}
	last := make(map[int64]int64, len(wanted))
	if len(wanted) > 0 {
		if reopened, err = raiseChats(ctx, tx, wanted, last); err != nil {
			return nil, nil, err
		}
	}
	seqs = make([]int64, len(messages))
	for i, in := range messages {
		if in.who.fresh {
			in.who.lastSeq++
			seqs[i] = in.who.lastSeq
			continue
		}
		if _, found := last[in.who.chat]; !found {
			return nil, nil, errUnresolved // deleted or merged since it was looked up: try the batch anew
		}
		last[in.who.chat]++
		seqs[i] = last[in.who.chat]
	}
	return seqs, reopened, nil
}

// demand is what a chat is to be moved by: how many messages, and which of them
// is the client's first, 0 for none.
type demand struct {
	messages, theirs int64
	newest           time.Time
}

// raiseChats moves the chats along, and says in last what their last seq was. It
// names those that were opened again.
func raiseChats(ctx context.Context, tx pgx.Tx, wanted map[int64]*demand, last map[int64]int64) (reopened []int64, err error) {
	chats := slices.Sorted(maps.Keys(wanted))
	counts, theirs, newest := make([]int64, len(chats)), make([]int64, len(chats)), make([]time.Time, len(chats))
	for i, chat := range chats {
		counts[i], theirs[i], newest[i] = wanted[chat].messages, wanted[chat].theirs, wanted[chat].newest
	}
	rows, err := tx.Query(ctx, sqlRaise, chats, counts, newest, theirs)
	if err != nil {
		return nil, err
	}
	var chat, base int64
	var opened bool
	_, err = pgx.ForEachRow(rows, []any{&chat, &base, &opened}, func() error {
		last[chat] = base
		if opened {
			reopened = append(reopened, chat)
		}
		return nil
	})
	return reopened, err
}

// messageColumns are the arrays of sqlMessages.
type messageColumns struct {
	tenants, senders, texts, kinds, channels      []string
	providerChats, providerMessages, routes, uids []string
	chats, streamSeqs, seqs                       []int64
	sent, created                                 []time.Time
	provider                                      []*time.Time
	contents                                      [][]byte
	parts                                         []int16
}

func (c *messageColumns) add(in *inbound, seq int64) error {
	ev := in.event
	content, err := json.Marshal(ev.Content)
	if err != nil {
		return fmt.Errorf("event %s: %w", ev.ID, err)
	}
	c.tenants = append(c.tenants, string(ev.Tenant))
	c.chats = append(c.chats, in.who.chat)
	c.senders = append(c.senders, in.sender().String())
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
	c.routes = append(c.routes, in.route())
	c.uids = append(c.uids, string(ev.ID))
	c.streamSeqs = append(c.streamSeqs, int64(in.seq)) //nolint:gosec // a stream sequence
	c.seqs = append(c.seqs, seq)
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
		c.provider, c.routes, c.uids, c.streamSeqs, c.seqs,
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
	indexes := make([]int16, n)
	tenants, channels, ids, reasons := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, in := range b.ignored {
		ev := in.event
		seqs[i], accepted[i] = int64(in.seq), ev.AcceptedAt //nolint:gosec // a stream sequence
		indexes[i] = int16(in.index)                        //nolint:gosec // a frame has at most 500 events
		tenants[i], channels[i], ids[i], reasons[i] = string(ev.Tenant), string(ev.Channel), string(ev.ID), ev.Reason
		if in.ignored != "" {
			reasons[i] = in.ignored
		}
		if ev.Kind != events.Ignored && !in.erased {
			var err error
			if full[i], err = withoutRaw(ev); err != nil {
				return err
			}
		}
	}
	q.Queue(sqlIgnored, b.partition, b.incarnation, seqs, tenants, channels, ids, reasons, full, accepted, indexes)
	return nil
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
