package store

import (
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// sqlReached makes people reachable again who wrote after their provider had
// refused to deliver to them: whoever blocks an account cannot write to it. Who
// opted out stays so.
const sqlReached = `
WITH member AS (
    UPDATE crm_chat_members m SET unreachable_at = NULL, unreachable_why = NULL, updated_at = now()
      FROM unnest($1::uuid[], $2::timestamptz[]) AS i (id, wrote_at)
     WHERE m.id = i.id AND m.unreachable_at <= i.wrote_at AND NOT m.opted_out
    RETURNING m.tenant_id, m.chat_id, m.id
)
INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data)
SELECT tenant_id, 'member', 'reachable', chat_id, json_build_object('member_id', id, 'chat_id', chat_id, 'why', 'wrote') FROM member`

// queueReached queues that for those of the batch's senders who need it, mostly
// nobody. What was replayed was written long ago.
func (b *batch) queueReached(q *pgx.Batch, messages []*inbound) {
	if b.late {
		return
	}
	last := make(map[*person]time.Time)
	for _, in := range messages {
		if in.who.refused && !in.event.Ours && in.event.AcceptedAt.After(last[in.who]) {
			last[in.who] = in.event.AcceptedAt
		}
	}
	var members []string
	var wrote []time.Time
	for _, p := range b.people { // in the order in which locks are taken
		if at, ok := last[p]; ok {
			members, wrote = append(members, p.member.String()), append(wrote, at)
		}
	}
	if len(members) > 0 {
		q.Queue(sqlReached, members, wrote)
	}
}

// wroteSince is what a reachability event says in the end: that somebody blocked
// the channel is over if they wrote later in the same batch.
func (b *batch) wroteSince(in *inbound) *events.Inbound {
	ev := in.event
	if !ev.Blocked || ev.Reason == optedOut {
		return ev
	}
	for _, m := range b.messages {
		if m.ord > in.ord && !m.event.Ours && m.event.Channel == ev.Channel && m.event.Person.Identity == ev.Person.Identity {
			over := *ev
			over.Blocked = false
			return &over
		}
	}
	return ev
}
