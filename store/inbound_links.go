package store

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// sqlOwner is the client that an identity is of: whoever claimed it, else whom a
// colleague gave the number or address. Not the lowest id by min or LIMIT: with
// scans off a plan would walk the primary key for it.
const sqlOwner = `coalesce(
       (SELECT p.client_id FROM parley_identities p WHERE p.tenant_id = i.tenant_id AND p.kind = i.kind AND p.value = i.value),
       (SELECT c.id FROM crm_clients c WHERE c.tenant_id = i.tenant_id AND i.kind = 'phone' AND c.phone_number = i.value),
       (SELECT (array_agg(c.id ORDER BY c.id))[1] FROM crm_clients c WHERE c.tenant_id = i.tenant_id AND i.kind = 'email' AND c.email = i.value))`

// Links of the messages just stored to other chats of their tenant.
const (
	sqlLinkReplies = `
INSERT INTO parley_links (tenant_id, message_id, chat_id, why)
SELECT m.tenant_id, m.id, h.id, 'token'
  FROM unnest($1::integer[], $2::bigint[], $3::integer[]) AS i (chat_id, seq, linked)
  JOIN crm_chat_messages m ON m.chat_id = i.chat_id AND m.seq = i.seq
  JOIN crm_chats h ON h.id = i.linked AND h.tenant_id = m.tenant_id AND h.id <> m.chat_id
ON CONFLICT DO NOTHING`
	sqlLinkThreads = `
INSERT INTO parley_links (tenant_id, message_id, chat_id, why)
SELECT m.tenant_id, m.id, t.chat_id, 'thread'
  FROM unnest($1::integer[], $2::bigint[], $3::text[], $4::text[]) AS i (chat_id, seq, answered_chat, answered)
  JOIN crm_chat_messages m ON m.chat_id = i.chat_id AND m.seq = i.seq
  JOIN LATERAL (
       SELECT d.chat_id FROM parley_attempts a JOIN parley_deliveries d ON d.id = a.delivery_id
        WHERE a.channel_id = m.channel_id AND a.provider_chat = i.answered_chat AND a.provider_id = i.answered
       UNION
       SELECT x.chat_id FROM crm_chat_messages x
        WHERE x.channel_id = m.channel_id AND x.provider_chat = i.answered_chat AND x.provider_message = i.answered
          AND x.part = 0 AND x.provider_message IS NOT NULL
  ) t ON t.chat_id <> m.chat_id
ON CONFLICT DO NOTHING`
	sqlLinkOwners = `
INSERT INTO parley_links (tenant_id, message_id, chat_id, why)
SELECT i.tenant_id, m.id, h.id, i.why
  FROM unnest($1::integer[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[]) AS i (chat_id, seq, tenant_id, kind, value, why)
  JOIN crm_chat_messages m ON m.chat_id = i.chat_id AND m.seq = i.seq
  JOIN crm_chats h ON h.tenant_id = i.tenant_id AND h.client_id = ` + sqlOwner + ` AND h.id <> m.chat_id
ON CONFLICT DO NOTHING`
)

// queueLinks queues what connects the messages just stored with other chats:
// for people to see, never to merge by.
func (b *batch) queueLinks(q *pgx.Batch, kept []*inbound, seqs []int64) {
	var tokens struct{ chats, seqs, linked []int64 }
	var threads struct {
		chats, seqs     []int64
		where, answered []string
	}
	var owners struct {
		chats, seqs                  []int64
		tenants, kinds, values, whys []string
	}
	owner := func(i int, in *inbound, id events.Identity, why string) {
		owners.chats, owners.seqs = append(owners.chats, in.who.chat), append(owners.seqs, seqs[i])
		owners.tenants = append(owners.tenants, string(in.event.Tenant))
		owners.kinds, owners.values = append(owners.kinds, string(id.Kind)), append(owners.values, id.Value)
		owners.whys = append(owners.whys, why)
	}
	for i, in := range kept {
		if in.event.Ours {
			continue
		}
		for _, id := range in.event.Person.Proven {
			if id.Kind == events.Phone && id.Valid() {
				owner(i, in, id, "phone")
			}
		}
		if in.mail() == nil {
			continue
		}
		if chat := in.token(); chat != 0 {
			tokens.chats, tokens.seqs = append(tokens.chats, in.who.chat), append(tokens.seqs, seqs[i])
			tokens.linked = append(tokens.linked, chat)
		}
		if to := in.event.Content.ReplyTo; to != nil && to.Valid() {
			threads.chats, threads.seqs = append(threads.chats, in.who.chat), append(threads.seqs, seqs[i])
			threads.where, threads.answered = append(threads.where, to.Chat), append(threads.answered, to.Message)
		}
		if in.who.identity.Kind == unprovenEmail {
			owner(i, in, in.event.Person.Identity, "address")
		}
	}
	if len(tokens.chats) > 0 {
		q.Queue(sqlLinkReplies, tokens.chats, tokens.seqs, tokens.linked)
	}
	if len(threads.chats) > 0 {
		q.Queue(sqlLinkThreads, threads.chats, threads.seqs, threads.where, threads.answered)
	}
	if len(owners.chats) > 0 {
		q.Queue(sqlLinkOwners, owners.chats, owners.seqs, owners.tenants, owners.kinds, owners.values, owners.whys)
	}
}

// sqlProve gives clients the identities that their provider vouches for and that
// are nobody's yet. It draws no ids, so a conflict costs nothing.
const sqlProve = `
INSERT INTO parley_identities (tenant_id, kind, value, client_id)
SELECT i.tenant_id, i.kind, i.value, i.client_id
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[]) AS i (tenant_id, kind, value, client_id)
 WHERE coalesce(` + sqlOwner + `, i.client_id) = i.client_id
 ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING`

// sqlPhones fills in the number of clients that have none.
const sqlPhones = `
UPDATE crm_clients t SET phone_number = i.value, updated_at = now()
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[]) AS i (tenant_id, kind, value, client_id)
 WHERE i.kind = 'phone' AND length(i.value) <= 20 AND t.id = i.client_id AND t.tenant_id = i.tenant_id AND t.phone_number IS NULL
   AND ` + sqlOwner + ` = i.client_id
   AND NOT EXISTS (SELECT FROM crm_clients o WHERE o.tenant_id = i.tenant_id AND o.phone_number = i.value)`

// queueProofs queues the claims of what the batch's senders have proven.
func (b *batch) queueProofs(q *pgx.Batch) {
	var tenants, kinds, values []string
	var clients []int64
	claimed := make(map[personKey]bool)
	for _, p := range b.people {
		for _, id := range p.proven {
			k := personKey{events.ChannelID(p.tenant), id}
			if claimed[k] {
				continue
			}
			claimed[k] = true
			tenants, kinds, values = append(tenants, string(p.tenant)), append(kinds, string(id.Kind)), append(values, id.Value)
			clients = append(clients, p.client)
		}
	}
	if len(tenants) > 0 {
		q.Queue(sqlProve, tenants, kinds, values, clients)
		q.Queue(sqlPhones, tenants, kinds, values, clients)
	}
}

// note collects what an event says about its sender.
func (p *person) note(ev *events.Inbound) {
	if ev.Ours {
		p.invited = true
		return
	}
	for _, id := range ev.Person.Proven {
		if id.Kind == events.Phone && id.Valid() && len(id.Value) <= maxIDBytes && !slices.Contains(p.proven, id) {
			p.proven = append(p.proven, id)
		}
	}
}
