package store

import (
	"cmp"
	"context"
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
	// identity is who they are as far as it is proven; user is what their member
	// on the channel is called.
	identity events.Identity
	user     string
	// first is their first event of the batch, at place ord: it names a new client.
	first *events.Inbound
	ord   int

	member   uuid.UUID // zero while unresolved
	chat     int64
	client   int64
	blocked  bool
	routedBy string
	// address is where their member is answered so far, empty for a new one.
	// wroteFrom is where they wrote from last.
	address, wroteFrom string
	// refused says that their member counts as unreachable, though not by their
	// own wish.
	refused bool
	// business is the member that speaks for the business in their chat, looked
	// up for what was written in other programs.
	business uuid.UUID
	// proven are further identities that the provider vouches for; invited says
	// that the business wrote to them.
	proven  []events.Identity
	invited bool

	// fresh says that their chat was made in this batch and counts their messages
	// already; lastSeq is the last one taken.
	fresh   bool
	lastSeq int64
}

// tenantChannel is a channel as an event claims it.
type tenantChannel struct {
	tenant  events.TenantID
	channel events.ChannelID
}

// personKey tells senders of a batch apart.
type personKey struct {
	channel  events.ChannelID
	identity events.Identity
}

func addPerson(people map[personKey]*person, in *inbound) *person {
	ev, id := in.event, in.identity()
	k := personKey{ev.Channel, id}
	p := people[k]
	if p == nil {
		p = &person{tenant: ev.Tenant, channel: ev.Channel, identity: id, user: id.Value, first: ev, ord: in.ord}
		if id.Kind == unprovenEmail {
			p.user = unprovenPrefix + id.Value
		}
		people[k] = p
	}
	return p
}

// sortPeople orders senders by identity, the order in which locks are taken.
func sortPeople(people []*person) {
	slices.SortFunc(people, func(a, b *person) int {
		return cmp.Or(
			cmp.Compare(a.tenant, b.tenant),
			cmp.Compare(a.identity.Kind, b.identity.Kind),
			cmp.Compare(a.identity.Value, b.identity.Value),
			cmp.Compare(a.channel, b.channel),
		)
	})
}

func isUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }

// sqlPlans makes the batch's statements keep one plan that uses indexes only.
// Planning them each time, with the foreign keys' own queries for every row,
// took as long as running them; a plan that was made while the tables were empty
// would scan them for ever, unless scans are off. Each statement has one table
// to look things up in, for which a nested loop over its index is right.
const sqlPlans = `
SELECT set_config('plan_cache_mode', 'force_generic_plan', true),
       set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true),
       set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true)`

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
SELECT i.ord, m.id, m.chat_id, m.client_id, c.blocked_at IS NOT NULL, coalesce(m.address, ''),
       m.unreachable_at IS NOT NULL AND NOT m.opted_out
  FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS i (channel_id, provider_user, ord)
  JOIN crm_chat_members m ON m.channel_id = i.channel_id AND m.provider_user = i.provider_user
  JOIN crm_clients c ON c.id = m.client_id`

// sqlChannels finds which channels are really their tenant's, what limits them,
// and whether there is anything erased or blocked to ask about.
const sqlChannels = `
SELECT i.ord, coalesce(c.settings->>'new_clients_per_hour', ''),
       EXISTS (SELECT FROM parley_tombstones t WHERE t.tenant_id = i.tenant_id),
       EXISTS (SELECT FROM parley_blocks k WHERE k.tenant_id = i.tenant_id)
  FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS i (tenant_id, channel_id, ord)
  JOIN parley_channels c ON c.id = i.channel_id AND c.tenant_id = i.tenant_id`

// lookUp asks in one round trip which messages are stored already, which
// senders are known, and whether the channels are their tenants'.
func (b *batch) lookUp(ctx context.Context, tx pgx.Tx) error {
	var q pgx.Batch
	q.Queue(sqlPlans)
	stored := make(map[int]bool)
	q.Queue(sqlDuplicates, messageKeys(b.messages)...).Query(func(rows pgx.Rows) error {
		return eachOrd(rows, func(i int) { stored[i] = true })
	})
	b.queueMembers(&q, b.people, routedByMember)
	elsewhere := make(map[*inbound]int64)
	if b.has.mail || b.has.ours {
		b.queueCopies(&q, elsewhere)
	}
	all := slices.Concat(b.messages, b.updates, b.ignored)
	// A batch has many events and few channels: each is asked about once.
	theirs := make(map[tenantChannel]bool)
	var asked []tenantChannel
	var tenants, channels []string
	for _, in := range all {
		tc := tenantChannel{in.event.Tenant, in.event.Channel}
		if _, known := theirs[tc]; !known {
			theirs[tc] = false
			asked = append(asked, tc)
			tenants, channels = append(tenants, string(tc.tenant)), append(channels, string(tc.channel))
		}
	}
	q.Queue(sqlChannels, tenants, channels).Query(func(rows pgx.Rows) error {
		var ord int
		var setting string
		var erasing, blocking bool
		_, err := pgx.ForEachRow(rows, []any{&ord, &setting, &erasing, &blocking}, func() error {
			of := asked[ord-1]
			theirs[of] = true
			if erasing {
				b.erasing = append(b.erasing, string(of.tenant))
			}
			if blocking {
				b.blocking = append(b.blocking, string(of.tenant))
			}
			if n := parseLimit(setting); n != noLimit {
				if b.limits == nil {
					b.limits = make(map[events.ChannelID]int)
				}
				b.limits[of.channel] = n
			}
			return nil
		})
		return err
	})
	q.Queue(`SELECT EXISTS (SELECT FROM parley_updates WHERE applied_at IS NULL)`).QueryRow(func(row pgx.Row) error {
		return row.Scan(&b.anyWaiting)
	})
	if err := tx.SendBatch(ctx, &q).Close(); err != nil {
		return err
	}
	for _, in := range all {
		if !theirs[tenantChannel{in.event.Tenant, in.event.Channel}] {
			b.records[in.ord].Unstorable = &Unstorable{Reason: fmt.Sprintf(
				"Channel %s is not known in tenant %s: it was removed, or the event is from another installation.", in.event.Channel, in.event.Tenant)}
			b.result.Outcomes[in.ord] = Quarantined
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
	if b.has.mail || b.has.ours {
		kept = b.setCopiesAside(kept, elsewhere)
	}
	b.messages = kept
	isStray := func(in *inbound) bool { return b.result.Outcomes[in.ord] == Quarantined }
	b.updates = slices.DeleteFunc(b.updates, isStray)
	b.ignored = slices.DeleteFunc(b.ignored, isStray)
	if err := b.obey(ctx, tx); err != nil {
		return err
	}
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
		channels[i], users[i] = string(p.channel), p.user
	}
	q.Queue(sqlMembers, channels, users).Query(func(rows pgx.Rows) error {
		var ord int
		var member uuid.UUID
		var chat, client int64
		var blocked, refused bool
		var address string
		_, err := pgx.ForEachRow(rows, []any{&ord, &member, &chat, &client, &blocked, &address, &refused}, func() error {
			p := people[ord-1]
			p.member, p.chat, p.client, p.blocked, p.address, p.refused = member, chat, client, blocked, address, refused
			if p.routedBy == "" {
				p.routedBy = routedBy
			}
			return nil
		})
		return err
	})
}

// sqlMove changes where people are answered.
const sqlMove = `
UPDATE crm_chat_members m SET address = i.address, updated_at = now()
  FROM unnest($1::uuid[], $2::text[]) AS i (id, address) WHERE m.id = i.id`

// queueMoves has people answered where they wrote last: one user of Telegram has
// a chat with the bot and another with the account that it answers for. A replay
// is no news of that.
func (b *batch) queueMoves(q *pgx.Batch, messages []*inbound) {
	if b.late {
		return
	}
	moved := false
	for _, in := range messages {
		if to := in.event.Person.Address; to != "" && in.who.address != "" && !in.event.Ours && !in.who.fresh {
			in.who.wroteFrom = to
			moved = moved || to != in.who.address
		}
	}
	if !moved {
		return
	}
	var members, addresses []string
	for _, p := range b.people { // in the order in which locks are taken
		if p.wroteFrom != "" && p.wroteFrom != p.address {
			members, addresses = append(members, p.member.String()), append(addresses, p.wroteFrom)
		}
	}
	if len(members) > 0 {
		q.Queue(sqlMove, members, addresses)
	}
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
