package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"parley/store/localpg"
)

const (
	// smallChats are each small tenant's, with messagesPerChat messages each.
	smallChats = 10
	// seedRows is how many rows one statement of seeding writes.
	seedRows = 100_000
	// seedStride scatters chats: a prime above any number of them.
	seedStride = 7_368_787
	// seedDays is how long ago the first message was.
	seedDays = 180
	// commonWord is in every message, rareWord in one of a hundred thousand.
	commonWord, rareWord = "the", "zyzzyva"
)

// seeding fills a database with one large tenant and many small ones.
type seeding struct {
	db       *cluster
	bot      bot
	chats    int
	messages int
	tenants  int
	// thread is how many messages chat 1 has; as many as the others if it is 0. With
	// such a thread nothing can be searched.
	thread int
}

func (s *seeding) each() int { return max(s.messages/max(s.chats, 1), 1) }

// seed stores what the router and the word indexer would, but for the bus's sequence
// numbers: clients who wrote on the bot's channel, in turns over half a year, the
// agent's answers, and a thousand other businesses in between.
func (s *seeding) seed(ctx context.Context) error {
	began := time.Now()
	say := func(what string) {
		fmt.Fprintf(os.Stderr, "seeding: %s after %.0f s\n", what, time.Since(began).Seconds())
	}
	if err := s.db.bulk(ctx, func() error {
		if err := s.db.together(ctx, 1, localpg.Role, s.people()); err != nil {
			return fmt.Errorf("seeding people: %w", err)
		}
		say("people")
		if err := s.db.together(ctx, 2, localpg.Role, s.talk()); err != nil {
			return fmt.Errorf("seeding messages: %w", err)
		}
		say("messages")
		if s.thread > 0 {
			return nil // nobody searches
		}
		var highest int64
		if err := s.db.pool.QueryRow(ctx, "SELECT max(id) FROM crm_chat_messages").Scan(&highest); err != nil {
			return err
		}
		if err := s.db.together(ctx, 2, localpg.Role, s.words(highest)); err != nil {
			return fmt.Errorf("seeding words: %w", err)
		}
		say("words")
		return nil
	}); err != nil {
		return err
	}
	say("indexes and keys")
	total := s.chats + s.tenants*smallChats
	if err := s.db.asOwner(ctx, fmt.Sprintf("SELECT setval('crm_clients_id_seq', %d), setval('crm_chats_id_seq', %d)", total, total)); err != nil {
		return err
	}
	if _, err := s.db.pool.Exec(ctx, `UPDATE parley_words_progress SET done = n.last, target = n.last FROM (
			SELECT 'crm_chat_messages' AS source, last_value AS last FROM crm_chat_messages_id_seq
			UNION ALL SELECT 'crm_clients', last_value FROM crm_clients_id_seq UNION ALL SELECT 'crm_client_contacts', last_value FROM crm_client_contacts_id_seq) n
		 WHERE parley_words_progress.source = n.source`); err != nil {
		return err
	}
	if err := s.db.together(ctx, 2, "postgres", vacuums()); err != nil {
		return err
	}
	say("statistics")
	return nil
}

func vacuums() (list []string) {
	for _, t := range bulkTables() {
		list = append(list, "VACUUM (ANALYZE) "+t)
	}
	return list
}

// fill writes the run's own numbers into a statement.
func (s *seeding) fill(sql string, more ...string) string {
	pairs := []string{
		// The longer of two that begin alike comes first.
		"@tenants", fmt.Sprint(s.tenants),
		"@tenant", "'" + string(s.bot.channel.Tenant) + "'::uuid", "@channel", "'" + string(s.bot.channel.ID) + "'::uuid",
		"@chats", fmt.Sprint(s.chats), "@each", fmt.Sprint(s.each()), "@first", fmt.Sprint(int64(firstPerson)),
		"@small", fmt.Sprint(smallChats), "@few", fmt.Sprint(messagesPerChat), "@stride", fmt.Sprint(int64(seedStride)), "@days", fmt.Sprint(seedDays),
	}
	return strings.NewReplacer(append(pairs, more...)...).Replace(sql)
}

// Members have ids that follow from their chat's, so that a message needs no look-up.
const (
	sqlClientMember = `('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid`
	sqlAgentMember  = `('00000000-0000-4000-9000-' || lpad(to_hex(i), 12, '0'))::uuid`
	// sqlSmallTenant is the small tenant of chat i, whose number is above those of
	// the large one.
	sqlSmallTenant = `('00000000-0000-4000-a000-' || lpad(to_hex((i - @chats - 1) / @small), 12, '0'))::uuid`
)

func (s *seeding) people() []string {
	all := []string{
		`INSERT INTO core_users (tenant_id, name) VALUES (@tenant, 'Agent')`,
		`INSERT INTO tenants (id, name) SELECT ('00000000-0000-4000-a000-' || lpad(to_hex(t), 12, '0'))::uuid, 'Small ' || t FROM generate_series(0, @tenants - 1) t`,
		`INSERT INTO crm_clients (id, tenant_id, first_name, last_name, created_at)
		 SELECT i, @tenant, 'First ' || i, 'Last ' || i, now() - @days * interval '1 day' FROM generate_series(1, @chats) i`,
		`INSERT INTO crm_client_contacts (tenant_id, client_id, contact_type, contact_value)
		 SELECT @tenant, i, 'telegram', (@first + i)::text FROM generate_series(1, @chats) i`,
		`INSERT INTO parley_identities (tenant_id, kind, value, client_id)
		 SELECT @tenant, 'telegram', (@first + i)::text, i FROM generate_series(1, @chats) i`,
		// One in ten is open, and one in fifty has something unread.
		`INSERT INTO crm_chats (id, tenant_id, client_id, last_seq, last_message_at, created_at, status, unread)
		 SELECT i, @tenant, i, @each, ` + s.at("@each", "j") + `, now() - @days * interval '1 day',
		        CASE WHEN i % 10 = 0 THEN 'open' ELSE 'closed' END, i % 50 = 0 AND @each % 3 <> 0
		   FROM generate_series(0, @chats - 1) j, LATERAL (SELECT ` + sqlTurn("@each") + ` AS i) c`,
		`INSERT INTO crm_chat_members (id, tenant_id, chat_id, client_id, client_contact_id, transport, transport_meta, channel_id, provider_user, address)
		 SELECT ` + sqlClientMember + `, @tenant, i, i, i, 'telegram',
		        jsonb_build_object('identity', jsonb_build_object('kind', 'telegram', 'value', (@first + i)::text), 'address', (@first + i)::text, 'first_name', 'First ' || i),
		        @channel, (@first + i)::text, (@first + i)::text FROM generate_series(1, @chats) i`,
		`INSERT INTO crm_chat_members (id, tenant_id, chat_id, user_id, transport)
		 SELECT ` + sqlAgentMember + `, @tenant, i, (SELECT max(id) FROM core_users WHERE tenant_id = @tenant), 'telegram' FROM generate_series(1, @chats) i`,
		`INSERT INTO crm_clients (id, tenant_id, first_name, created_at)
		 SELECT i, ` + sqlSmallTenant + `, 'Neighbour ' || i, now() - @days * interval '1 day' FROM generate_series(@chats + 1, @chats + @tenants * @small) i`,
		`INSERT INTO crm_chats (id, tenant_id, client_id, last_seq, last_message_at)
		 SELECT i, ` + sqlSmallTenant + `, i, @few, now() FROM generate_series(@chats + 1, @chats + @tenants * @small) i`,
		`INSERT INTO crm_chat_members (id, tenant_id, chat_id, client_id, transport)
		 SELECT ` + sqlClientMember + `, ` + sqlSmallTenant + `, i, i, 'sms' FROM generate_series(@chats + 1, @chats + @tenants * @small) i`,
	}
	for i, sql := range all {
		all[i] = s.fill(sql)
	}
	return all
}

// at is when the j-th message of round k was written.
func (s *seeding) at(k, j string) string {
	return fmt.Sprintf("now() - @days * interval '1 day' * (1 - ((%s - 1) * @chats::float8 + %s) / (@chats::float8 * @each))", k, j)
}

// sqlTurn is whose turn it is: chats write in another order than their ids.
func sqlTurn(k string) string {
	return "1 + (j::bigint * @stride + " + k + "::bigint * 7919) % @chats"
}

// Each message has the commonest word, and others that are the rarer the higher their
// number.
const sqlSeedText = `'the order ' || w(random()) || ' ' || w(random()) || ' for ' || w(random()) || ' and ' || w(random()) || ' ' || w(random())`

// talk are the messages, round by round, in pieces.
func (s *seeding) talk() (list []string) {
	words := sqlSeedText
	for strings.Contains(words, "w(random())") {
		words = strings.Replace(words, "w(random())", "'w' || to_hex((20000 * power(random(), 4))::int)", 1)
	}
	for k := 1; k <= s.each(); k++ {
		member, direction, provider := sqlClientMember, "in", true
		if k%3 == 0 {
			member, direction, provider = sqlAgentMember, "out", false
		}
		key, routed := "NULL", "NULL"
		chat := "NULL"
		if provider {
			key, chat, routed = "'"+fmt.Sprint(k)+"'", "(@first + i)::text", "'member'"
		}
		read := "t.at"
		if k == s.each() && direction == "in" {
			read = "CASE WHEN i % 50 <> 0 THEN t.at END"
		}
		for from := 0; from < s.chats; from += seedRows {
			list = append(list, s.fill(`
				INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, sent_at, read_at, created_at, seq, direction,
				       kind, content, channel_id, provider_chat, provider_message, provider_at, routed_by, event_id)
				SELECT @tenant, i, `+member+`, t.words, t.at, `+read+`, t.at, @k, '`+direction+`', 'text',
				       jsonb_build_object('type', 'text', 'text', t.words), @channel, `+chat+`, `+key+`, t.at, `+routed+`, gen_random_uuid()
				  FROM generate_series(@from, @to) j, LATERAL (SELECT `+sqlTurn("@k")+` AS i) c,
				       LATERAL (SELECT `+words+` || CASE WHEN (j + @k) % 100000 = 77 THEN ' `+rareWord+`' ELSE '' END AS words, `+s.at("@k", "j")+` AS at) t`,
				"@k", fmt.Sprint(k), "@from", fmt.Sprint(from), "@to", fmt.Sprint(min(from+seedRows, s.chats)-1)))
		}
		// The small ones' rounds are spread over the large one's.
		if k <= messagesPerChat {
			list = append(list, s.small(k, words))
		}
	}
	for k := s.each() + 1; k <= messagesPerChat; k++ {
		list = append(list, s.small(k, words))
	}
	return append(list, s.long(words)...)
}

// long makes chat 1 a long one that goes on until now.
func (s *seeding) long(words string) []string {
	if s.thread <= s.each() {
		return nil
	}
	words = strings.ReplaceAll(words, "random()", "random() + 0 * k") // another text for each
	return []string{
		s.fill(`
			INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, sent_at, read_at, created_at, seq, direction,
			       kind, content, channel_id, provider_chat, provider_message, provider_at, routed_by, event_id)
			SELECT @tenant, 1, CASE WHEN k % 3 = 0 THEN `+sqlAgentMember+` ELSE `+sqlClientMember+` END, t.words, t.at, t.at, t.at, k,
			       CASE WHEN k % 3 = 0 THEN 'out' ELSE 'in' END, 'text', jsonb_build_object('type', 'text', 'text', t.words), @channel,
			       CASE WHEN k % 3 <> 0 THEN (@first + 1)::text END, CASE WHEN k % 3 <> 0 THEN k::text END, t.at, CASE WHEN k % 3 <> 0 THEN 'member' END, gen_random_uuid()
			  FROM generate_series(@each + 1, @thread) k, (SELECT 1 AS i) c,
			       LATERAL (SELECT `+words+` AS words, now() - (@thread - k) * interval '5 minutes' AS at) t`, "@thread", fmt.Sprint(s.thread)),
		s.fill(`UPDATE crm_chats SET last_seq = @thread, last_message_at = now(), status = 'open', unread = false WHERE id = 1`, "@thread", fmt.Sprint(s.thread)),
	}
}

func (s *seeding) small(k int, words string) string {
	return s.fill(`
		INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, sent_at, read_at, created_at, seq, direction)
		SELECT `+sqlSmallTenant+`, i, `+sqlClientMember+`, `+words+`, now(), now(), now(), @k, 'in'
		  FROM generate_series(@chats + 1, @chats + @tenants * @small) i`, "@k", fmt.Sprint(k))
}

// words are what the word indexer would have written (store.DB.IndexWords), of many
// rows at once.
func (s *seeding) words(highest int64) (list []string) {
	for from := int64(0); from < highest; from += seedRows {
		list = append(list, fmt.Sprintf(`
			INSERT INTO parley_message_words (id, tenant_id, words)
			SELECT m.id, m.tenant_id, strip(to_tsvector('simple', parley_message_text(m.message, m.content))) || parley_blocks(m.tenant_id, m.id)
			  FROM crm_chat_messages m WHERE m.id > %d AND m.id <= %d`, from, from+seedRows))
	}
	for from := 0; from < s.chats+s.tenants*smallChats; from += seedRows {
		// The client's contact is known here; parley_client_text would look it up
		// without its index.
		list = append(list, s.fill(fmt.Sprintf(`
			INSERT INTO parley_client_words (id, tenant_id, words)
			SELECT c.id, c.tenant_id, array_to_tsvector(parley_trigrams(concat_ws(' ', c.first_name, c.last_name, CASE WHEN c.id <= @chats THEN (@first + c.id)::text END)))
			       || parley_blocks(c.tenant_id, c.id)
			  FROM crm_clients c WHERE c.id > %d AND c.id <= %d`, from, from+seedRows)))
	}
	return list
}

// unread is how many chats have something unread.
func (s *seeding) unread() int {
	if s.each()%3 == 0 {
		return 0 // the agent wrote last
	}
	return s.chats / 50
}
