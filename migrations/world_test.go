package migrations_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

const (
	tenantA = "0000000a-0000-4000-8000-000000000000"
	tenantB = "0000000b-0000-4000-8000-000000000000"
)

// tenantWorld is what seedTenant made: everything that belongs to a business
// and not to one client.
type tenantWorld struct {
	tenant        string
	user          int
	passport      string
	channel       string
	nextStreamSeq int

	colleague, team, label int
}

// seedTenant writes a row into every tenant table that does not need a client.
// It leaves the session acting as worker for the tenant.
func seedTenant(s *session, tenant string) *tenantWorld {
	s.t.Helper()
	s.act(worker, tenant)
	s.exec("INSERT INTO tenants (id, name) VALUES ($1, 'Bakery')", tenant)
	w := &tenantWorld{tenant: tenant}
	w.user = one[int](s, "INSERT INTO core_users (name, email) VALUES ('Ann', 'ann@example.com') RETURNING id")
	w.passport = one[string](s, "INSERT INTO core_passports DEFAULT VALUES RETURNING id::text")
	w.channel = one[string](s, `INSERT INTO parley_channels (transport, name, mode, webhook_path)
		VALUES ('sms', 'Shop', 'webhook', gen_random_uuid()::text) RETURNING id::text`)
	s.exec("INSERT INTO parley_senders (channel_id, state, version) VALUES ($1, 'connected', 1)", w.channel)
	s.exec("INSERT INTO crm_message_templates (template) VALUES ('We open at nine.')")
	s.exec(`INSERT INTO parley_ignored (stream_partition, stream_seq, channel_id, event_id, reason, accepted_at)
		VALUES (1, $1, $2, gen_random_uuid(), 'typing', now())`, w.streamSeq(), w.channel)
	s.exec(`INSERT INTO parley_quarantine (tenant_id, stream_partition, stream_seq, event, reason)
		VALUES ($1, 1, $2, '\x00', 'broken')`, tenant, w.streamSeq())
	s.exec(`INSERT INTO parley_updates (channel_id, kind, provider_event, event, event_id, accepted_at, stream_partition, stream_seq)
		VALUES ($1, 'edit', 'waiting', '{}', gen_random_uuid(), now(), 2, $2)`, w.channel, w.streamSeq())
	s.exec("INSERT INTO parley_facts (noun, verb, data) VALUES ('tenant', 'created', '{}')")
	s.seedAccess(w)
	s.exec(`WITH u AS (INSERT INTO parley_resumables (user_id, size, received, expires_at) VALUES ($1, 9, 4, now()) RETURNING id)
		INSERT INTO parley_resumable_parts (resumable_id, start, blob_key) SELECT id, $1, 'parts/a' FROM u`, w.user)
	seedWebhook(s)
	seedNewcomers(s, w)
	seedComposing(s, w)
	seedTeam(s, w)
	seedRules(s)
	seedAlertSettings(s, w)
	return w
}

// streamSeq is unique over the tenants of a test.
func (w *tenantWorld) streamSeq() int {
	w.nextStreamSeq++
	return w.nextStreamSeq<<8 | int(w.tenant[7])
}

// clientWorld is what seedClient made.
type clientWorld struct {
	client, contact, chat int
	them, agent           string // members
	in, out               int64  // messages
	upload                int
}

// seedClient writes a row into every table that has rows of a client.
func seedClient(s *session, w *tenantWorld, name string) *clientWorld {
	s.t.Helper()
	s.act(worker, w.tenant)
	c := &clientWorld{}
	c.client = one[int](s, "INSERT INTO crm_clients (first_name, phone_number, passport_id) VALUES ($1, $1, $2) RETURNING id", name, w.passport)
	c.contact = one[int](s, "INSERT INTO crm_client_contacts (client_id, contact_type, contact_value) VALUES ($1, 'phone', $2) RETURNING id", c.client, name)
	s.exec("INSERT INTO parley_identities (kind, value, client_id) VALUES ('phone', $1, $2)", name, c.client)
	c.chat = one[int](s, "INSERT INTO crm_chats (client_id) VALUES ($1) RETURNING id", c.client)
	c.them = one[string](s, `INSERT INTO crm_chat_members (chat_id, client_id, client_contact_id, transport, channel_id, provider_user, address)
		VALUES ($1, $2, $3, 'sms', $4, $5, $5) RETURNING id::text`, c.chat, c.client, c.contact, w.channel, name)
	c.agent = one[string](s, "INSERT INTO crm_chat_members (chat_id, user_id, transport) VALUES ($1, $2, 'sms') RETURNING id::text", c.chat, w.user)
	for i := range 2 {
		c.in = one[int64](s, `INSERT INTO crm_chat_messages (chat_id, sender_id, message, channel_id, provider_chat, provider_message, stream_partition, stream_seq)
			VALUES ($1, $2, 'Are you open?', $3, $4, $5, 1, $6) RETURNING id`,
			c.chat, c.them, w.channel, name, fmt.Sprint("m", i), w.streamSeq())
	}
	c.upload = one[int](s, "INSERT INTO core_uploads (blob_key) VALUES ($1) RETURNING id", name)
	s.exec("INSERT INTO crm_chat_message_attachments (message_id, upload_id) VALUES ($1, $2)", c.in, c.upload)
	s.exec(`INSERT INTO parley_media (message_id, position, channel_id, state, upload_id) VALUES ($1, 0, $2, 'stored', $3)`, c.in, w.channel, c.upload)
	s.exec("INSERT INTO parley_payloads (message_id, blob_key) VALUES ($1, $2)", c.in, "raw/"+name)
	s.exec(`INSERT INTO parley_updates (channel_id, kind, provider_event, event, event_id, accepted_at, stream_partition, stream_seq, message_id, applied_at)
		VALUES ($1, 'edit', $2, '{}', gen_random_uuid(), now(), 2, $3, $4, now())`, w.channel, name, w.streamSeq(), c.in)
	for i := range 2 {
		c.out = one[int64](s, `INSERT INTO crm_chat_messages (chat_id, sender_id, message, channel_id, sent_at)
			VALUES ($1, $2, 'From nine.', $3, now()) RETURNING id`, c.chat, c.agent, w.channel)
		delivery := one[int64](s, `INSERT INTO parley_deliveries (message_id, chat_id, channel_id, member_id, lane)
			VALUES ($1, $2, $3, $4, $5) RETURNING id`, c.out, c.chat, w.channel, c.them, name)
		s.exec(`INSERT INTO parley_attempts (delivery_id, part, attempt, channel_id, epoch, ref)
			SELECT $1, 0, 1, $2, 1, gen_random_uuid() WHERE NOT EXISTS (SELECT FROM parley_attempts WHERE channel_id = $2)`, delivery, w.channel)
		s.exec(`INSERT INTO parley_albums (channel_id, provider_chat, provider_id, delivery_id) VALUES ($1, $2, $3, $4)`, w.channel, name, fmt.Sprint(i), delivery)
	}
	seedInbound(s, w, c, name)
	seedIdentity(s, c)
	seedWords(s, c)
	seedComposed(s, w, c)
	seedWork(s, w, c)
	seedAlerts(s, w, c)
	return c
}

// tenantTables are the tables that have rows of tenants, by the catalog.
func tenantTables(s *session) []string {
	s.t.Helper()
	return query[string](s, `
		SELECT relname::text FROM pg_class c
		 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
		   AND (relname = 'tenants' OR EXISTS (
		       SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant_id' AND NOT attisdropped))
		 ORDER BY 1`)
}

// tenantColumn names the tenant in a table.
func tenantColumn(table string) string {
	if table == "tenants" {
		return "id"
	}
	return "tenant_id"
}

// census counts every tenant table's rows, of all tenants.
func census(s *session) map[string]int {
	s.t.Helper()
	return countRows(s, tenantTables(s))
}

func countRows(s *session, tables []string) map[string]int {
	s.t.Helper()
	s.act(worker, "")
	sql := make([]string, len(tables))
	for i, table := range tables {
		sql[i] = fmt.Sprintf("SELECT '%s', count(*)::int FROM %[1]s", table)
	}
	rows, _ := s.conn.Query(s.t.Context(), strings.Join(sql, " UNION ALL "))
	counts := map[string]int{}
	var table string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&table, &n}, func() error { counts[table] = n; return nil }); err != nil {
		s.t.Fatal(describe(err))
	}
	return counts
}

// sameCensus complains about every counted table whose rows are not as many as
// before, except those that are expected to change.
func sameCensus(s *session, before, after map[string]int, except ...string) {
	s.t.Helper()
	for _, table := range slices.Sorted(maps.Keys(after)) {
		if before[table] != after[table] && !slices.Contains(except, table) {
			s.t.Errorf("%s has %d rows, expected %d", table, after[table], before[table])
		}
	}
}

// pointers are the columns that name a row of another table, whether or not a
// foreign key says so.
var pointers = map[string]string{
	"tenant_id": "tenants", "user_id": "core_users", "upload_id": "core_uploads", "passport_id": "core_passports",
	"channel_id": "parley_channels", "client_id": "crm_clients", "client_contact_id": "crm_client_contacts",
	"chat_id": "crm_chats", "member_id": "crm_chat_members", "sender_id": "crm_chat_members",
	"message_id": "crm_chat_messages", "delivery_id": "parley_deliveries",
	"assignee_id": "core_users", "team_id": "parley_teams", "label_id": "parley_labels", "reply_to": "crm_chat_messages",
}

// mayPointNowhere are pointers that may outlive their row.
var mayPointNowhere = map[string]string{
	"parley_facts.tenant_id": "a fact is on its way to the bus, and gone once it is there",
	"parley_facts.chat_id":   "likewise; 0 for what concerns no chat",

	"parley_webhook_deliveries.chat_id": "0 for what concerns no chat; the others go with it",

	"parley_resumables.upload_id": "what nobody sends is removed before it is forgotten how it came",

	"parley_erased.client_id":           "who is not there any more",
	"parley_merged_messages.message_id": "where a message was; one that retention removed stays away when the merge is taken back",
	"parley_deliveries.reply_to":        "a provider's id",
}

// noOrphans complains about rows that name a row which is not there.
func noOrphans(s *session) {
	s.t.Helper()
	s.act(worker, "")
	for _, column := range query[string](s, `
		SELECT relname || '.' || attname FROM pg_class c JOIN pg_attribute ON attrelid = c.oid
		 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attname = ANY ($1)
		 ORDER BY 1`, slices.Collect(maps.Keys(pointers))) {
		if mayPointNowhere[column] != "" {
			continue
		}
		table, name, _ := strings.Cut(column, ".")
		n := one[int](s, fmt.Sprintf(`SELECT count(*)::int FROM %[1]s r
			WHERE %[2]s IS NOT NULL AND NOT EXISTS (SELECT FROM %[3]s o WHERE o.id = r.%[2]s)`, table, name, pointers[name]))
		if n != 0 {
			s.t.Errorf("%d rows of %s point nowhere", n, column)
		}
	}
}
