package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const (
	// messagesPerChat are stored in each chat before.
	messagesPerChat = 10
	// firstPerson is the Telegram id of the first preloaded person.
	firstPerson = 500_000_000
)

// preload stores chats with ten messages each, by statements over all of them:
// clients, contacts, identities, members on the bot's channel, an agent, and
// messages both ways, in the order in which chats take turns. What it stores is
// what the router would, but for the bus's sequence numbers.
func (c *cluster) preload(ctx context.Context, b bot, chats int) error {
	steps := []struct{ what, sql string }{
		{"clients", `
			INSERT INTO crm_clients (id, tenant_id, first_name, last_name, created_at)
			SELECT i, @tenant, 'First ' || i, 'Last ' || i, now() - interval '90 days' FROM generate_series(1, @chats::int) i`},
		{"contacts", `
			INSERT INTO crm_client_contacts (tenant_id, client_id, contact_type, contact_value)
			SELECT @tenant, i, 'telegram', (@first::bigint + i)::text FROM generate_series(1, @chats::int) i`},
		{"identities", `
			INSERT INTO parley_identities (tenant_id, kind, value, client_id)
			SELECT @tenant, 'telegram', (@first::bigint + i)::text, i FROM generate_series(1, @chats::int) i`},
		{"chats", `
			INSERT INTO crm_chats (id, tenant_id, client_id, last_seq, last_message_at, created_at)
			SELECT i, @tenant, i, @each::int, now() - interval '1 day', now() - interval '90 days' FROM generate_series(1, @chats::int) i`},
		{"members", `
			INSERT INTO crm_chat_members (tenant_id, chat_id, client_id, client_contact_id, transport, transport_meta,
			                              channel_id, provider_user, address)
			SELECT @tenant, c.client_id, c.client_id, c.id, 'telegram',
			       jsonb_build_object('identity', jsonb_build_object('kind', 'telegram', 'value', c.contact_value),
			                          'address', c.contact_value, 'first_name', 'First ' || c.client_id),
			       @channel, c.contact_value, c.contact_value
			  FROM crm_client_contacts c WHERE c.client_id <= @chats::int`},
		{"agent", `INSERT INTO core_users (tenant_id, name) VALUES (@tenant, 'Agent')`},
		{"agent's members", `
			INSERT INTO crm_chat_members (tenant_id, chat_id, user_id, transport)
			SELECT @tenant, i, (SELECT max(id) FROM core_users WHERE tenant_id = @tenant), 'telegram'
			  FROM generate_series(1, @chats::int) i`},
	}
	args := pgx.NamedArgs{
		"tenant": string(b.channel.Tenant), "channel": string(b.channel.ID),
		"chats": chats, "each": messagesPerChat, "first": firstPerson,
	}
	for _, step := range steps {
		if _, err := c.pool.Exec(ctx, step.sql, args); err != nil {
			return fmt.Errorf("preloading %s: %w", step.what, err)
		}
	}
	for k := range messagesPerChat {
		if err := c.preloadMessages(ctx, args, k+1); err != nil {
			return fmt.Errorf("preloading messages: %w", err)
		}
	}
	return c.asOwner(ctx,
		fmt.Sprintf(`SELECT setval('crm_clients_id_seq', %d), setval('crm_chats_id_seq', %d)`, chats, chats), "VACUUM ANALYZE")
}

// preloadMessages stores each chat's k-th message; every third is the agent's.
func (c *cluster) preloadMessages(ctx context.Context, args pgx.NamedArgs, k int) error {
	args["k"] = k
	who, direction := "m.client_id IS NOT NULL", "in"
	if k%3 == 0 {
		who, direction = "m.user_id IS NOT NULL", "out"
	}
	args["direction"] = direction
	_, err := c.pool.Exec(ctx, `
		INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, sent_at, read_at, created_at, seq, direction,
		       kind, content, channel_id, provider_chat, provider_message, provider_at, routed_by, event_id)
		SELECT m.tenant_id, m.chat_id, m.id, t.words, t.at, CASE WHEN @k < 10 THEN t.at END, t.at, @k, @direction,
		       'text', jsonb_build_object('type', 'text', 'text', t.words), @channel,
		       CASE WHEN @direction = 'in' THEN m.provider_user END, CASE WHEN @direction = 'in' THEN (@k::int)::text END,
		       t.at, CASE WHEN @direction = 'in' THEN 'member' END, gen_random_uuid()
		  FROM crm_chat_members m,
		       LATERAL (SELECT 'Message ' || @k::int || ' of chat ' || m.chat_id || ': could you tell me when my order arrives?' AS words,
		                       now() - (@each::int - @k::int + 1) * interval '1 day' AS at) t
		 WHERE `+who+`
		 ORDER BY hashint4(m.chat_id + @k::int)`, args)
	return err
}
