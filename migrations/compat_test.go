package migrations_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/store/storetest"
)

// A program written for the data model knows its columns and nothing of ours; it
// only says whose session this is.
func TestOldProgramsWork(t *testing.T) {
	t.Parallel()
	s := open(t)
	w := seedTenant(s, tenantA)
	upload := one[int](s, "INSERT INTO core_uploads (blob_key) VALUES ('k') RETURNING id")
	s.act(api, tenantA)

	client := one[int](s, `INSERT INTO crm_clients (tenant_id, first_name, last_name, middle_name, phone_number, address,
		email, date_of_birth, gender, passport_id, pin, comments)
		VALUES ($1, 'Ida', 'Orth', NULL, '+49301', 'Ring 1', 'ida@example.com', '1980-02-29', 'F', $2, '7', 'regular') RETURNING id`, tenantA, w.passport)
	contact := one[int](s, "INSERT INTO crm_client_contacts (client_id, contact_type, contact_value) VALUES ($1, 'phone', '+49301') RETURNING id", client)
	chat := one[int](s, "INSERT INTO crm_chats (tenant_id, client_id) VALUES ($1, $2) RETURNING id", tenantA, client)
	them := one[string](s, `INSERT INTO crm_chat_members (id, tenant_id, chat_id, client_id, client_contact_id, transport, transport_meta)
		VALUES (gen_random_uuid(), $1, $2, $3, $4, 'sms', '{"phone":"+49301"}') RETURNING id::text`, tenantA, chat, client, contact)
	agent := one[string](s, `INSERT INTO crm_chat_members (tenant_id, chat_id, user_id, transport)
		VALUES ($1, $2, $3, 'sms') RETURNING id::text`, tenantA, chat, w.user)
	first := one[int64](s, "INSERT INTO crm_chat_messages (chat_id, sender_id, message) VALUES ($1, $2, 'Are you open?') RETURNING id", chat, them)
	s.exec("INSERT INTO crm_chat_messages (chat_id, sender_id, message) VALUES ($1, $2, 'From nine.')", chat, agent)
	s.exec("INSERT INTO crm_chat_message_attachments (message_id, upload_id) VALUES ($1, $2)", first, upload)
	s.exec("INSERT INTO crm_message_templates (tenant_id, template) VALUES ($1, 'We open at nine.')", tenantA)

	expect(s, "seq and direction", `SELECT string_agg(seq || ' ' || direction || ' ' || (sent_at IS NOT NULL)::text, ', ' ORDER BY seq)
		FROM crm_chat_messages`, "1 in true, 2 out false")
	expect(s, "no delivery, so nothing is sent", "SELECT count(*)::text FROM parley_deliveries", "0")
	expect(s, "the chat moved along", `SELECT (last_seq = 2 AND last_message_at = (SELECT max(created_at) FROM crm_chat_messages))::text FROM crm_chats`, "true")
	expect(s, "every row is the tenant's", `SELECT string_agg(DISTINCT tenant_id::text, ' ') FROM (
		SELECT tenant_id FROM crm_client_contacts UNION ALL SELECT tenant_id FROM crm_chat_messages
		UNION ALL SELECT tenant_id FROM crm_chat_message_attachments) all_rows`, tenantA)

	s.exec("UPDATE crm_chat_messages SET read_at = now() WHERE id = $1", first)
	s.exec("UPDATE crm_clients SET phone_number = '+49302', updated_at = now() WHERE id = $1 AND tenant_id = $2", client, tenantA)
	s.exec("UPDATE crm_chat_members SET user_id = NULL, client_id = $1 WHERE id = $2", client, agent)
	s.exec("DELETE FROM crm_clients WHERE id = $1", client)
}

// An imported message is older than what is there.
func TestLastMessageNeverMovesBackwards(t *testing.T) {
	t.Parallel()
	s := open(t)
	c := seedClient(s, seedTenant(s, tenantA), "+4910")
	s.act(api, tenantA)
	const insert = "INSERT INTO crm_chat_messages (chat_id, sender_id, message, created_at) VALUES ($1, $2, 'x', $3)"
	newest := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	s.exec(insert, c.chat, c.them, newest)
	s.exec(insert, c.chat, c.them, newest.Add(-48*time.Hour))
	if at := one[time.Time](s, "SELECT last_message_at FROM crm_chats WHERE id = $1", c.chat); !at.Equal(newest) {
		t.Errorf("last message at %s, expected %s", at, newest)
	}
	expect(s, "still the chat's newest place", "SELECT (max(seq) = (SELECT max(last_seq) FROM crm_chats))::text FROM crm_chat_messages", "true")
}

// Who is user and client at once speaks for the business; who left did so, too.
func TestDirectionOfUnusualMembers(t *testing.T) {
	t.Parallel()
	s := open(t)
	w := seedTenant(s, tenantA)
	c := seedClient(s, w, "+4910")
	both := one[string](s, `INSERT INTO crm_chat_members (chat_id, user_id, client_id, transport)
		VALUES ($1, $2, $3, 'email') RETURNING id::text`, c.chat, w.user, c.client)
	direction := func(member string) string {
		return one[string](s, "INSERT INTO crm_chat_messages (chat_id, sender_id, message) VALUES ($1, $2, 'x') RETURNING direction", c.chat, member)
	}
	if d := direction(both); d != "out" {
		t.Errorf("a user who is a client writes %q", d)
	}
	s.exec("DELETE FROM core_users WHERE id = $1", w.user)
	if d := direction(c.agent); d != "out" {
		t.Errorf("a former agent wrote %q", d)
	}
}

func TestConcurrentInsertsHaveDistinctPlaces(t *testing.T) {
	t.Parallel()
	url := storetest.NewDatabase(t)
	s := connect(t, url)
	c := seedClient(s, seedTenant(s, tenantA), "+4910")
	before := one[int64](s, "SELECT last_seq FROM crm_chats")

	const sessions, each = 4, 25
	errs := make(chan error, sessions)
	for range sessions {
		go func() { errs <- insertMessages(t.Context(), url, c, each) }()
	}
	for range sessions {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	places := query[int64](s, "SELECT seq FROM crm_chat_messages WHERE seq > $1 ORDER BY seq", before)
	for i, seq := range places {
		if seq != before+int64(i)+1 {
			t.Fatalf("place %d has seq %d", i, seq)
		}
	}
	if len(places) != sessions*each || one[int64](s, "SELECT last_seq FROM crm_chats") != places[len(places)-1] {
		t.Errorf("%d messages have a place", len(places))
	}
}

// insertMessages inserts each message in a transaction of its own, from both
// members, as another program would.
func insertMessages(ctx context.Context, url string, c *clientWorld, n int) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if _, err := conn.Exec(ctx, "SET parley.tenant = '"+tenantA+"'; SET ROLE parley_api"); err != nil {
		return err
	}
	members := []string{c.them, c.agent}
	for i := range n {
		if _, err := conn.Exec(ctx, "INSERT INTO crm_chat_messages (chat_id, sender_id, message) VALUES ($1, $2, 'x')",
			c.chat, members[i%2]); err != nil {
			return err
		}
	}
	return nil
}

// Merging two clients moves members; their messages and deliveries follow.
func TestMessagesFollowTheirMember(t *testing.T) {
	t.Parallel()
	s := open(t)
	w := seedTenant(s, tenantA)
	into, from := seedClient(s, w, "+4910"), seedClient(s, w, "+4911")
	s.act(api, tenantA)
	s.undone(func() {
		s.exec("SET CONSTRAINTS parley_messages_chat_seq DEFERRED")
		s.exec("UPDATE crm_chat_members SET chat_id = $1, transport = 'merged' WHERE chat_id = $2", into.chat, from.chat)
		s.exec(`UPDATE crm_chat_messages m SET seq = n FROM (SELECT id, row_number() OVER (ORDER BY created_at, seq, id) AS n
			FROM crm_chat_messages WHERE chat_id = $1) placed WHERE placed.id = m.id`, into.chat)
		s.exec("SET CONSTRAINTS ALL IMMEDIATE")
		expect(s, "messages in one chat", "SELECT count(DISTINCT chat_id)::text FROM crm_chat_messages", "1")
		expect(s, "places", "SELECT array_agg(seq ORDER BY seq)::text FROM crm_chat_messages", "{1,2,3,4,5,6,7,8}")
		expect(s, "deliveries in one chat", "SELECT count(DISTINCT chat_id)::text FROM parley_deliveries", "1")
	})
}

// expect compares a query's only value.
func expect[T comparable](s *session, what, sql string, expected T) {
	s.t.Helper()
	if have := query[T](s, sql); !slices.Equal(have, []T{expected}) {
		s.t.Errorf("%s: %v, expected %v", what, have, expected)
	}
}
