package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
)

// person is one sender of a batch on one channel, and what is known of them.
type person struct {
	tenant  events.TenantID
	channel events.ChannelID
	// first is their first event of the batch: it names a new client.
	first *events.Inbound

	member   uuid.UUID // zero while unresolved
	chat     int64
	client   int64
	blocked  bool
	routedBy string
	// stray is set when the event's channel is not one of its tenant.
	stray bool
}

// personKey tells senders of a batch apart.
type personKey struct {
	channel  events.ChannelID
	identity events.Identity
}

func addPerson(people map[personKey]*person, ev *events.Inbound) *person {
	k := personKey{ev.Channel, ev.Person.Identity}
	p := people[k]
	if p == nil {
		p = &person{tenant: ev.Tenant, channel: ev.Channel, first: ev}
		people[k] = p
	}
	return p
}

// sortPeople orders senders by identity, the order in which locks are taken.
func sortPeople(people []*person) {
	slices.SortFunc(people, func(a, b *person) int {
		return cmp.Or(
			cmp.Compare(a.tenant, b.tenant),
			cmp.Compare(a.first.Person.Identity.Kind, b.first.Person.Identity.Kind),
			cmp.Compare(a.first.Person.Identity.Value, b.first.Person.Identity.Value),
			cmp.Compare(a.channel, b.channel),
		)
	})
}

func isUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }

// sqlDuplicates finds the messages that are stored already.
const sqlDuplicates = `
SELECT i.ord
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[]) WITH ORDINALITY
       AS i (channel_id, provider_chat, provider_message, part, ord)
  JOIN crm_chat_messages m
    ON m.channel_id = i.channel_id AND m.provider_chat = i.provider_chat
   AND m.provider_message = i.provider_message AND m.part = i.part
   AND m.provider_message IS NOT NULL`

// sqlMembers finds the members of known senders.
const sqlMembers = `
SELECT i.ord, m.id, m.chat_id, m.client_id, c.blocked_at IS NOT NULL
  FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS i (channel_id, provider_user, ord)
  JOIN crm_chat_members m ON m.channel_id = i.channel_id AND m.provider_user = i.provider_user
  JOIN crm_clients c ON c.id = m.client_id`

// sqlChannels finds which channels are really their tenant's.
const sqlChannels = `
SELECT i.ord
  FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS i (tenant_id, channel_id, ord)
  JOIN parley_channels c ON c.id = i.channel_id AND c.tenant_id = i.tenant_id`

// lookUp asks in one round trip which messages are stored already, which
// senders are known, and whether the channels are their tenants'.
func (b *batch) lookUp(ctx context.Context, tx pgx.Tx) error {
	var q pgx.Batch
	stored := make(map[int]bool)
	q.Queue(sqlDuplicates, messageKeys(b.messages)...).Query(func(rows pgx.Rows) error {
		return eachOrd(rows, func(i int) { stored[i] = true })
	})
	b.queueMembers(&q, b.people, routedByMember)
	all := slices.Concat(b.messages, b.updates, b.ignored)
	theirs := make(map[int]bool)
	tenants, channels := make([]string, len(all)), make([]string, len(all))
	for i, in := range all {
		tenants[i], channels[i] = string(in.event.Tenant), string(in.event.Channel)
	}
	q.Queue(sqlChannels, tenants, channels).Query(func(rows pgx.Rows) error {
		return eachOrd(rows, func(i int) { theirs[i] = true })
	})
	if err := tx.SendBatch(ctx, &q).Close(); err != nil {
		return err
	}
	for i, in := range all {
		if !theirs[i] {
			b.records[in.ord].Unstorable = &Unstorable{Reason: fmt.Sprintf(
				"Channel %s is not known in tenant %s: it was removed, or the event is from another installation.", in.event.Channel, in.event.Tenant)}
			b.result.Outcomes[in.ord] = Quarantined
			if in.who != nil {
				in.who.stray = true
			}
		}
	}
	kept := b.messages[:0]
	for i, in := range b.messages {
		switch {
		case b.result.Outcomes[in.ord] == Quarantined:
		case stored[i]:
			b.result.Outcomes[in.ord] = Duplicate
		default:
			kept = append(kept, in)
		}
	}
	b.messages = kept
	isStray := func(in *inbound) bool { return b.result.Outcomes[in.ord] == Quarantined }
	b.updates = slices.DeleteFunc(b.updates, isStray)
	b.ignored = slices.DeleteFunc(b.ignored, isStray)
	// Only senders of something to store are worth creating.
	needed := make(map[*person]bool, len(b.people))
	for _, in := range b.messages {
		needed[in.who] = true
	}
	b.people = slices.DeleteFunc(b.people, func(p *person) bool { return !needed[p] })
	return nil
}

func (b *batch) queueMembers(q *pgx.Batch, people []*person, routedBy string) {
	channels, users := make([]string, len(people)), make([]string, len(people))
	for i, p := range people {
		channels[i], users[i] = string(p.channel), p.first.Person.Identity.Value
	}
	q.Queue(sqlMembers, channels, users).Query(func(rows pgx.Rows) error {
		var ord int
		var member uuid.UUID
		var chat, client int64
		var blocked bool
		_, err := pgx.ForEachRow(rows, []any{&ord, &member, &chat, &client, &blocked}, func() error {
			p := people[ord-1]
			p.member, p.chat, p.client, p.blocked = member, chat, client, blocked
			if p.routedBy == "" {
				p.routedBy = routedBy
			}
			return nil
		})
		return err
	})
}

// maxResolveRounds bounds how often senders are looked up anew after losing a
// race for an identity; one round is enough unless clients are deleted meanwhile.
const maxResolveRounds = 5

var errUnresolved = errors.New("senders stay unresolved: clients appear and vanish at the same time")

// resolve makes sure that every sender has a client, a chat and a member.
func (b *batch) resolve(ctx context.Context, tx pgx.Tx) error {
	for range maxResolveRounds {
		missing := slices.DeleteFunc(slices.Clone(b.people), func(p *person) bool { return p.member != uuid.Nil })
		if len(missing) == 0 {
			return nil
		}
		if err := b.create(ctx, tx, missing); err != nil {
			return err
		}
		var q pgx.Batch
		b.queueMembers(&q, missing, "identity")
		if err := tx.SendBatch(ctx, &q).Close(); err != nil {
			return err
		}
	}
	return errUnresolved
}

// sqlSenders is the table of unresolved senders that the statements below start
// from. One identity may write on two channels: rank 1 claims it.
const sqlSenders = `
WITH sender AS MATERIALIZED (
    SELECT i.*, row_number() OVER (PARTITION BY tenant_id, kind, value ORDER BY ord) AS rank
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[],
                  $7::text[], $8::text[], $9::text[], $10::jsonb[]) WITH ORDINALITY
           AS i (tenant_id, channel_id, kind, value, address, first_name, last_name, contact, transport, meta, ord)
)`

// sqlIdentities claims the identities that nobody has: for the client that a
// phone number or mail address already names, else for a new one. Sorted, so
// that two routers never wait for each other; anti-joined, because a conflict
// would burn a client id, of which there are 2^31. The claim decides races:
// only its winner creates the client, in the same statement.
const sqlIdentities = sqlSenders + `,
unknown AS (
    SELECT s.*, (
        SELECT c.id FROM crm_clients c
         WHERE c.tenant_id = s.tenant_id
           AND (s.kind = 'phone' AND c.phone_number = s.value OR s.kind = 'email' AND c.email = s.value)
         ORDER BY c.id LIMIT 1) AS existing
      FROM sender s
     WHERE s.rank = 1
       AND NOT EXISTS (SELECT 1 FROM parley_identities p
                        WHERE p.tenant_id = s.tenant_id AND p.kind = s.kind AND p.value = s.value)
),
won AS (
    INSERT INTO parley_identities (tenant_id, kind, value, client_id)
    SELECT tenant_id, kind, value, coalesce(existing, nextval('crm_clients_id_seq'))
      FROM unknown ORDER BY tenant_id, kind, value
    ON CONFLICT (tenant_id, kind, value) DO NOTHING
    RETURNING tenant_id, kind, value, client_id
),
client AS (
    INSERT INTO crm_clients (id, tenant_id, first_name, last_name, phone_number, email)
    SELECT w.client_id, w.tenant_id, u.first_name, nullif(u.last_name, ''),
           CASE WHEN u.kind = 'phone' THEN u.value END, CASE WHEN u.kind = 'email' THEN u.value END
      FROM won w JOIN unknown u USING (tenant_id, kind, value)
     WHERE u.existing IS NULL
    RETURNING id, tenant_id
),
fact AS (
    INSERT INTO parley_facts (tenant_id, noun, verb, data)
    SELECT c.tenant_id, 'client', 'created', json_build_object('client_id', c.id) FROM client c
)
SELECT u.ord, u.existing IS NULL,
       CASE WHEN u.existing IS NULL THEN 'new' ELSE u.kind END
  FROM won w JOIN unknown u USING (tenant_id, kind, value)`

// sqlChats gives every sender's client its chat, and the sender a contact and a
// member in it.
const sqlChats = sqlSenders + `,
known AS MATERIALIZED (
    SELECT s.*, p.client_id, h.id AS chat_id
      FROM sender s
      JOIN parley_identities p ON p.tenant_id = s.tenant_id AND p.kind = s.kind AND p.value = s.value
      LEFT JOIN crm_chats h ON h.tenant_id = p.tenant_id AND h.client_id = p.client_id
),
new_chat AS (
    INSERT INTO crm_chats (tenant_id, client_id)
    SELECT DISTINCT tenant_id, client_id FROM known WHERE chat_id IS NULL ORDER BY tenant_id, client_id
    ON CONFLICT (tenant_id, client_id) DO NOTHING
    RETURNING id, client_id
),
new_contact AS (
    INSERT INTO crm_client_contacts (tenant_id, client_id, contact_type, contact_value)
    SELECT DISTINCT k.tenant_id, k.client_id, k.contact, k.value FROM known k
     WHERE NOT EXISTS (SELECT 1 FROM crm_client_contacts c
                        WHERE c.client_id = k.client_id AND c.contact_type = k.contact AND c.contact_value = k.value)
    RETURNING id, client_id, contact_type, contact_value
)
INSERT INTO crm_chat_members (id, tenant_id, chat_id, client_id, client_contact_id, transport, transport_meta,
                              channel_id, provider_user, address)
SELECT gen_random_uuid(), k.tenant_id, coalesce(k.chat_id, h.id), k.client_id, coalesce(n.id, c.id), k.transport, k.meta,
       k.channel_id, k.value, k.address
  FROM known k
  LEFT JOIN new_chat h ON h.client_id = k.client_id
  LEFT JOIN new_contact n ON n.client_id = k.client_id AND n.contact_type = k.contact AND n.contact_value = k.value
  LEFT JOIN LATERAL (SELECT id FROM crm_client_contacts c
                      WHERE c.client_id = k.client_id AND c.contact_type = k.contact AND c.contact_value = k.value
                      ORDER BY id LIMIT 1) c ON true
 -- A chat that another transaction has just made is seen in the next round.
 WHERE coalesce(k.chat_id, h.id) IS NOT NULL
 ORDER BY k.tenant_id, k.kind, k.value
ON CONFLICT (channel_id, provider_user) DO NOTHING`

// create gives the missing senders what they lack.
func (b *batch) create(ctx context.Context, tx pgx.Tx, missing []*person) error {
	args, err := senderArgs(missing)
	if err != nil {
		return err
	}
	var q pgx.Batch
	q.Queue(sqlIdentities, args...).Query(func(rows pgx.Rows) error {
		var ord int
		var isNew bool
		var how string
		_, err := pgx.ForEachRow(rows, []any{&ord, &isNew, &how}, func() error {
			missing[ord-1].routedBy = how
			if isNew {
				b.result.NewClients++
			}
			return nil
		})
		return err
	})
	q.Queue(sqlChats, args...)
	return tx.SendBatch(ctx, &q).Close()
}

// senderArgs are the arrays of sqlSenders.
func senderArgs(people []*person) ([]any, error) {
	n := len(people)
	var cols [9][]string
	for i := range cols {
		cols[i] = make([]string, n)
	}
	metas := make([][]byte, n)
	for i, p := range people {
		who := &p.first.Person
		meta, err := json.Marshal(who)
		if err != nil {
			return nil, err
		}
		metas[i] = meta
		for c, v := range []string{
			string(p.tenant), string(p.channel), string(who.Identity.Kind), who.Identity.Value, who.Address,
			firstName(who), truncate(who.LastName), contactType(p.first), string(p.first.Transport),
		} {
			cols[c][i] = v
		}
	}
	args := make([]any, 0, 10)
	for _, c := range cols {
		args = append(args, c)
	}
	return append(args, metas), nil
}

// firstName is what a new client is called: crm_clients.first_name is NOT NULL.
func firstName(p *events.Person) string {
	return truncate(cmp.Or(strings.TrimSpace(p.FirstName), strings.TrimSpace(p.Username), p.Address, p.Identity.Value))
}

// truncate cuts a name to the column's 255 characters; a name that long is
// somebody's joke, not a reason to lose their message.
func truncate(s string) string {
	const limit = 255
	if r := []rune(s); len(r) > limit {
		return string(r[:limit])
	}
	return s
}

// contactType is the contact row's type: the data model names email, phone,
// telegram, whatsapp, other. SMS is a phone; everything else is its transport.
func contactType(ev *events.Inbound) string {
	if ev.Transport == events.SMS {
		return string(events.Phone)
	}
	return string(ev.Transport)
}

func messageKeys(list []*inbound) []any {
	n := len(list)
	channels, chats, messages, parts := make([]string, n), make([]string, n), make([]string, n), make([]int16, n)
	for i, in := range list {
		k := in.event.Key
		channels[i], chats[i], messages[i] = string(in.event.Channel), k.Chat, k.Message
		parts[i] = int16(k.Part) //nolint:gosec // adapters split a message into a handful of parts
	}
	return []any{channels, chats, messages, parts}
}

// eachOrd calls f with each row's ordinality, counted from 0.
func eachOrd(rows pgx.Rows, f func(int)) error {
	var ord int
	_, err := pgx.ForEachRow(rows, []any{&ord}, func() error { f(ord - 1); return nil })
	return err
}
