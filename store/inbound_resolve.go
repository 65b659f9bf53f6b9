package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// maxResolveRounds bounds how often senders are looked up anew; the second round
// settles everything unless clients are deleted meanwhile.
const maxResolveRounds = 5

var errUnresolved = errors.New("senders stay unresolved: clients appear and vanish at the same time")

// resolve makes sure that every sender has a client, a chat and a member.
func (b *batch) resolve(ctx context.Context, tx pgx.Tx) error {
	for range maxResolveRounds {
		missing := slices.DeleteFunc(slices.Clone(b.people), func(p *person) bool { return p.member != uuid.Nil })
		if len(missing) == 0 {
			return nil
		}
		strangers, err := b.identify(ctx, tx, missing)
		if err != nil {
			return err
		}
		if strangers, err = b.limit(ctx, tx, strangers); err != nil {
			return err
		}
		if err := b.welcome(ctx, tx, strangers); err != nil {
			return err
		}
		if err := b.join(ctx, tx, missing); err != nil {
			return err
		}
	}
	return errUnresolved
}

// sqlIdentified finds the clients of identities, and where nobody has the
// identity yet, those that a phone number or mail address already names.
const sqlIdentified = `
SELECT i.ord, coalesce(p.client_id, c.id), p.client_id IS NULL
  FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS i (tenant_id, kind, value, ord)
  LEFT JOIN parley_identities p ON p.tenant_id = i.tenant_id AND p.kind = i.kind AND p.value = i.value
  LEFT JOIN LATERAL (
       SELECT id FROM crm_clients
        WHERE tenant_id = i.tenant_id AND i.kind = 'phone' AND phone_number = i.value
       UNION ALL
       SELECT id FROM crm_clients
        WHERE tenant_id = i.tenant_id AND i.kind = 'email' AND email = i.value
        ORDER BY id LIMIT 1) c ON p.client_id IS NULL
 WHERE coalesce(p.client_id, c.id) IS NOT NULL`

// identify finds the clients of senders without a member, and returns those that
// are nobody's, one for each identity.
func (b *batch) identify(ctx context.Context, tx pgx.Tx, missing []*person) (strangers []*person, err error) {
	tenants, kinds, values := identityColumns(missing)
	var claims []*person
	var ord int
	var client int64
	var claim bool
	var q pgx.Batch
	q.Queue(sqlIdentified, tenants, kinds, values).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&ord, &client, &claim}, func() error {
			p := missing[ord-1]
			p.client, p.routedBy = client, "identity"
			if claim {
				p.routedBy = string(p.identity.Kind)
				claims = append(claims, p)
			}
			return nil
		})
		return err
	})
	// Without an identity somebody may still be known by what else is told of them.
	clues := queueClues(&q, missing)
	if err := tx.SendBatch(ctx, &q).Close(); err != nil {
		return nil, err
	}
	if found := clues.claims(); len(found) > 0 {
		claims = append(claims, found...)
		// Who writes on two channels at once is one, whichever of them told more.
		for _, p := range missing {
			for _, known := range found {
				if p.client == 0 && sameIdentity(p, known) {
					p.client, p.routedBy = known.client, "identity"
				}
			}
		}
	}
	if len(claims) > 0 {
		if err := claimIdentities(ctx, tx, claims); err != nil {
			return nil, err
		}
	}
	for i, p := range missing {
		// Sorted by identity: one who writes on two channels at once comes twice.
		if p.client == 0 && (i == 0 || !sameIdentity(p, missing[i-1])) {
			strangers = append(strangers, p)
		}
	}
	return strangers, nil
}

func sameIdentity(a, b *person) bool {
	return a.tenant == b.tenant && a.identity == b.identity
}

func identityColumns(people []*person) (tenants, kinds, values []string) {
	n := len(people)
	tenants, kinds, values = make([]string, n), make([]string, n), make([]string, n)
	for i, p := range people {
		tenants[i], kinds[i], values[i] = string(p.tenant), string(p.identity.Kind), p.identity.Value
	}
	return tenants, kinds, values
}

// sqlClaimIdentities gives clients identities. Whoever loses a race for one waits for the
// winner, is refused, and finds the winner's client when the batch is tried
// again.
const sqlClaimIdentities = `
INSERT INTO parley_identities (tenant_id, kind, value, client_id)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[])`

func claimIdentities(ctx context.Context, tx pgx.Tx, people []*person) error {
	// One identity may be claimed for several channels at once.
	people = slices.Clone(people)
	sortPeople(people)
	people = slices.CompactFunc(people, sameIdentity)
	tenants, kinds, values := identityColumns(people)
	_, err := tx.Exec(ctx, sqlClaimIdentities, tenants, kinds, values, clientsOf(people))
	return err
}

func clientsOf(people []*person) []int64 {
	ids := make([]int64, len(people))
	for i, p := range people {
		ids[i] = p.client
	}
	return ids
}

// The rows of people who write for the first time. Their ids are drawn before,
// once they are known to be new: there are 2^31 of them, and an upsert would
// burn one with every message of a known sender. Nothing is joined, so that
// there is no plan to go wrong.
const (
	sqlDraw = `
SELECT nextval('crm_clients_id_seq'), nextval('crm_chats_id_seq'), nextval('crm_client_contacts_id_seq')
  FROM generate_series(1, $1::integer)`
	sqlNewClients = `
INSERT INTO crm_clients (id, tenant_id, first_name, last_name, phone_number, email)
SELECT id, tenant_id, first_name, nullif(last_name, ''),
       CASE WHEN kind = 'phone' THEN value END, CASE WHEN kind = 'email' THEN value END
  FROM unnest($1::integer[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[])
       AS i (id, tenant_id, first_name, last_name, kind, value)`
	sqlNewChats = `
INSERT INTO crm_chats (id, tenant_id, client_id, last_seq, last_message_at, unread)
SELECT * FROM unnest($1::integer[], $2::uuid[], $3::integer[], $4::bigint[], $5::timestamptz[], $6::boolean[])`
	sqlNewContacts = `
INSERT INTO crm_client_contacts (id, tenant_id, client_id, contact_type, contact_value)
SELECT * FROM unnest($1::integer[], $2::uuid[], $3::integer[], $4::text[], $5::text[])`
	sqlNewMembers = `
INSERT INTO crm_chat_members (id, tenant_id, chat_id, client_id, client_contact_id, transport, transport_meta,
                              channel_id, provider_user, address)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::integer[], $6::text[], $7::jsonb[],
                     $8::uuid[], $9::text[], $10::text[])`
	sqlNewClientFacts = `
INSERT INTO parley_facts (tenant_id, noun, verb, chat_ids, lines)
SELECT tenant_id, 'client', 'created', array_agg(chat_id::bigint ORDER BY chat_id),
       string_agg(json_build_object('client_id', client_id, 'chat_id', chat_id)::text, E'\n' ORDER BY chat_id)
  FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS i (tenant_id, client_id, chat_id) GROUP BY tenant_id`
)

// welcome makes a client, chat, contact and member for each stranger.
func (b *batch) welcome(ctx context.Context, tx pgx.Tx, strangers []*person) error {
	if len(strangers) == 0 {
		return nil
	}
	n := len(strangers)
	rows, err := tx.Query(ctx, sqlDraw, n)
	if err != nil {
		return err
	}
	chats, contacts := make([]int64, 0, n), make([]int64, 0, n)
	var client, chat, contact int64
	if _, err := pgx.ForEachRow(rows, []any{&client, &chat, &contact}, func() error {
		p := strangers[len(chats)]
		p.client, p.chat, p.routedBy = client, chat, "new"
		chats, contacts = append(chats, chat), append(contacts, contact)
		return nil
	}); err != nil {
		return err
	}
	tenants, kinds, values := identityColumns(strangers)
	first, last, types, transports := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	members, channels, users, addresses := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	metas := make([][]byte, n)
	for i, p := range strangers {
		who := &p.first.Person
		p.member = uuid.Must(uuid.NewV7()) // indexes grow at their end
		members[i], channels[i], users[i], addresses[i] = p.member.String(), string(p.channel), p.user, who.Address
		first[i], last[i], types[i], transports[i] = firstName(who), truncate(who.LastName), contactType(p.first), string(p.first.Transport)
		if metas[i], err = json.Marshal(who); err != nil {
			return err
		}
	}
	clients := clientsOf(strangers)
	counts, newest, unread := b.countFirst(strangers)
	b.result.NewClients += n
	var q pgx.Batch
	q.Queue(sqlClaimIdentities, tenants, kinds, values, clients)
	q.Queue(sqlNewClients, clients, tenants, first, last, kinds, values)
	q.Queue(sqlNewChats, chats, tenants, clients, counts, newest, unread)
	q.Queue(sqlNewContacts, contacts, tenants, clients, types, values)
	q.Queue(sqlNewMembers, members, tenants, chats, clients, contacts, transports, metas, channels, users, addresses)
	q.Queue(sqlNewClientFacts, tenants, clients, chats)
	return tx.SendBatch(ctx, &q).Close()
}

// countFirst is how many messages each stranger has in the batch, when the newest
// came, and whether they wrote any themselves. Their chats are made with it, which
// spares an update of each.
func (b *batch) countFirst(strangers []*person) (counts []int64, newest []time.Time, unread []bool) {
	place := make(map[*person]int, len(strangers))
	for i, p := range strangers {
		p.fresh = true
		place[p] = i
	}
	counts, newest, unread = make([]int64, len(strangers)), make([]time.Time, len(strangers)), make([]bool, len(strangers))
	for _, in := range b.messages {
		if i, ok := place[in.who]; ok {
			counts[i]++
			unread[i] = unread[i] || !in.event.Ours
			if at := in.event.AcceptedAt; at.After(newest[i]) {
				newest[i] = at
			}
		}
	}
	return counts, newest, unread
}

// sqlJoin gives people whose client is known a chat where that has none, a
// contact and a member. What another transaction has just made is seen in the
// next round.
const (
	sqlJoinChats = `
INSERT INTO crm_chats (tenant_id, client_id)
SELECT DISTINCT tenant_id, client_id FROM unnest($1::uuid[], $2::integer[]) AS i (tenant_id, client_id)
 WHERE NOT EXISTS (SELECT 1 FROM crm_chats h WHERE h.tenant_id = i.tenant_id AND h.client_id = i.client_id)
 ORDER BY 1, 2
ON CONFLICT (tenant_id, client_id) DO NOTHING`
	sqlJoinContacts = `
INSERT INTO crm_client_contacts (tenant_id, client_id, contact_type, contact_value)
SELECT DISTINCT tenant_id, client_id, type, value
  FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[]) AS i (tenant_id, client_id, type, value)
 WHERE NOT EXISTS (SELECT 1 FROM crm_client_contacts c
                    WHERE c.client_id = i.client_id AND c.contact_type = i.type AND c.contact_value = i.value)`
	sqlJoinMembers = `
INSERT INTO crm_chat_members (tenant_id, chat_id, client_id, client_contact_id, transport, transport_meta,
                              channel_id, provider_user, address)
SELECT i.tenant_id, h.id, i.client_id,
       (SELECT min(c.id) FROM crm_client_contacts c
         WHERE c.client_id = i.client_id AND c.contact_type = i.type AND c.contact_value = i.value),
       i.transport, i.meta, i.channel_id, i.provider_user, i.address
  FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::uuid[], $8::text[], $9::text[])
       AS i (tenant_id, client_id, type, value, transport, meta, channel_id, provider_user, address)
  JOIN crm_chats h ON h.tenant_id = i.tenant_id AND h.client_id = i.client_id
ON CONFLICT (channel_id, provider_user) DO NOTHING`
)

// join makes the senders whose client is known members of its chat, and looks
// up who is one now.
func (b *batch) join(ctx context.Context, tx pgx.Tx, missing []*person) error {
	people := slices.DeleteFunc(slices.Clone(missing), func(p *person) bool { return p.member != uuid.Nil || p.client == 0 })
	unresolved := slices.DeleteFunc(slices.Clone(missing), func(p *person) bool { return p.member != uuid.Nil })
	if len(unresolved) == 0 {
		return nil
	}
	var q pgx.Batch
	if n := len(people); n > 0 {
		tenants, _, values := identityColumns(people)
		types, transports := make([]string, n), make([]string, n)
		channels, users, addresses := make([]string, n), make([]string, n), make([]string, n)
		metas := make([][]byte, n)
		for i, p := range people {
			var err error
			if metas[i], err = json.Marshal(&p.first.Person); err != nil {
				return err
			}
			types[i], transports[i] = contactType(p.first), string(p.first.Transport)
			channels[i], users[i], addresses[i] = string(p.channel), p.user, p.first.Person.Address
		}
		clients := clientsOf(people)
		q.Queue(sqlJoinChats, tenants, clients)
		q.Queue(sqlJoinContacts, tenants, clients, types, values)
		q.Queue(sqlJoinMembers, tenants, clients, types, values, transports, metas, channels, users, addresses)
	}
	b.queueMembers(&q, unresolved, "identity")
	return tx.SendBatch(ctx, &q).Close()
}
