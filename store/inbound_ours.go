package store

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// What the business wrote in another program is sent by a member of its own:
// the channel's user, for nobody knows which colleague it was.
const (
	sqlChannelUsers = `
INSERT INTO core_users (tenant_id, name, channel_id)
SELECT c.tenant_id, left(c.name, 255), c.id FROM parley_channels c
 WHERE c.id = ANY ($1::uuid[]) AND NOT EXISTS (SELECT FROM core_users u WHERE u.tenant_id = c.tenant_id AND u.channel_id = c.id)
 ORDER BY c.id
ON CONFLICT (tenant_id, channel_id) WHERE channel_id IS NOT NULL DO NOTHING`
	sqlChannelMembers = `
INSERT INTO crm_chat_members (tenant_id, chat_id, user_id, transport)
SELECT i.tenant_id, i.chat_id, u.id, i.transport
  FROM unnest($1::uuid[], $2::integer[], $3::uuid[], $4::text[]) AS i (tenant_id, chat_id, channel_id, transport)
  JOIN core_users u ON u.tenant_id = i.tenant_id AND u.channel_id = i.channel_id
 WHERE NOT EXISTS (SELECT FROM crm_chat_members m WHERE m.chat_id = i.chat_id AND m.user_id = u.id AND m.transport = i.transport)
ON CONFLICT (chat_id, user_id, transport) WHERE user_id IS NOT NULL DO NOTHING`
	sqlChannelSpeaks = `
SELECT i.ord, m.id
  FROM unnest($1::uuid[], $2::integer[], $3::uuid[], $4::text[]) WITH ORDINALITY AS i (tenant_id, chat_id, channel_id, transport, ord)
  JOIN core_users u ON u.tenant_id = i.tenant_id AND u.channel_id = i.channel_id
  JOIN crm_chat_members m ON m.chat_id = i.chat_id AND m.user_id = u.id AND m.transport = i.transport`
)

// speak makes sure that the channels have a member in the chats of those whom
// the business wrote to.
func (b *batch) speak(ctx context.Context, tx pgx.Tx) error {
	seen := make(map[*person]bool)
	var to []*person
	var tenants, channels, transports []string
	var chats []int64
	var distinct []string
	for _, in := range b.messages {
		if !in.event.Ours || seen[in.who] {
			continue
		}
		p := in.who
		seen[p] = true
		to, chats = append(to, p), append(chats, p.chat)
		tenants, channels = append(tenants, string(p.tenant)), append(channels, string(p.channel))
		transports = append(transports, string(in.event.Transport))
		if !slices.Contains(distinct, string(p.channel)) {
			distinct = append(distinct, string(p.channel))
		}
	}
	if len(to) == 0 {
		return nil
	}
	var q pgx.Batch
	q.Queue(sqlChannelUsers, distinct)
	q.Queue(sqlChannelMembers, tenants, chats, channels, transports)
	q.Queue(sqlChannelSpeaks, tenants, chats, channels, transports).Query(func(rows pgx.Rows) error {
		var ord int
		var member uuid.UUID
		_, err := pgx.ForEachRow(rows, []any{&ord, &member}, func() error {
			to[ord-1].business = member
			return nil
		})
		return err
	})
	if err := tx.SendBatch(ctx, &q).Close(); err != nil {
		return err
	}
	for _, p := range to {
		if p.business == uuid.Nil {
			return errUnresolved // the channel or chat was deleted since: try the batch anew
		}
	}
	return nil
}

// runs splits messages where what came in and what the business wrote alternate,
// so that facts keep the order of their chat.
func runs(list []*inbound) [][2]int {
	var ends [][2]int
	for i, in := range list {
		if i == 0 || in.event.Ours != list[i-1].event.Ours {
			ends = append(ends, [2]int{i, i})
		}
		ends[len(ends)-1][1] = i + 1
	}
	return ends
}

// sender is the member that a message is from.
func (in *inbound) sender() uuid.UUID {
	if in.event.Ours {
		return in.who.business
	}
	return in.who.member
}

// route is crm_chat_messages.routed_by of a message.
func (in *inbound) route() string {
	switch {
	case in.why != "":
		return in.why
	case in.who.identity.Kind == unprovenEmail && !in.event.Ours:
		return routedUnproven
	}
	return in.who.routedBy
}
