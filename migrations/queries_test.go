package migrations_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The queries of the data model, word for word, and the corrected ones where
// they cannot run or answer something else. docs/data-model.md has the same
// corrected text.
const (
	clientByID  = "SELECT * FROM crm_clients WHERE id = $1 AND tenant_id = $2;"
	chatByID    = "SELECT * FROM crm_chats WHERE id = $1 AND tenant_id = $2;"
	membersByID = "SELECT * FROM crm_chat_members WHERE chat_id = $1 AND tenant_id = $2;"

	clientWithContacts = `SELECT c.*, cc.*
FROM crm_clients c
LEFT JOIN crm_client_contacts cc ON c.id = cc.client_id
WHERE c.id = $1 AND c.tenant_id = $2
ORDER BY cc.created_at;`

	chatWithMessages = `SELECT c.*, m.*, msg.*, s.id as sender_id
FROM crm_chats c
LEFT JOIN crm_chat_members m ON c.id = m.chat_id
LEFT JOIN crm_chat_messages msg ON c.id = msg.chat_id
WHERE c.id = $1 AND c.tenant_id = $2
ORDER BY msg.created_at DESC;`

	unread = `SELECT msg.*
FROM crm_chat_messages msg
WHERE msg.chat_id = $1 AND msg.read_at IS NULL
ORDER BY msg.created_at;`

	lastPerChat = `SELECT DISTINCT ON (chat_id) *
FROM crm_chat_messages
WHERE chat_id = ANY($1)
ORDER BY chat_id, created_at DESC;`
)

const (
	correctedChatWithMessages = `SELECT c.*, msg.*, s.*
FROM crm_chats c
LEFT JOIN crm_chat_messages msg ON msg.chat_id = c.id
LEFT JOIN crm_chat_members s ON s.id = msg.sender_id
WHERE c.id = $1 AND c.tenant_id = $2
ORDER BY msg.seq DESC;`

	correctedUnread = `SELECT msg.*
FROM crm_chat_messages msg
WHERE msg.chat_id = $1 AND msg.direction = 'in' AND msg.read_at IS NULL
ORDER BY msg.seq;`

	correctedLastPerChat = `SELECT msg.*
FROM unnest($1::integer[]) AS wanted (chat_id)
CROSS JOIN LATERAL (
    SELECT * FROM crm_chat_messages m
    WHERE m.chat_id = wanted.chat_id
    ORDER BY m.seq DESC
    LIMIT 1
) msg;`
)

func TestQueriesOfTheDataModel(t *testing.T) {
	t.Parallel()
	s := open(t)
	w := seedTenant(s, tenantA)
	other := seedClient(s, w, "+4911")
	c := seedClient(s, w, "+4910") // two messages from the client, then two from the agent
	s.exec("INSERT INTO crm_client_contacts (client_id, contact_type, contact_value) VALUES ($1, 'email', 'a@example.com')", c.client)
	foreign := seedClient(s, seedTenant(s, tenantB), "+4920")
	s.act(worker, "")
	s.exec("UPDATE crm_chat_messages SET read_at = now() WHERE chat_id = $1 AND seq = 1", c.chat)
	// Apart in time: within one transaction NOW() would tie.
	s.exec("UPDATE crm_chat_messages SET created_at = created_at - interval '1 minute' * (10 - seq)")
	s.act(api, tenantA)

	for _, test := range []struct {
		name, sql string
		args      []any
		// column of every row, in order.
		column   string
		expected string
	}{
		{"client", clientByID, []any{c.client, tenantA}, "first_name", "+4910"},
		{"client of another tenant", clientByID, []any{foreign.client, tenantB}, "first_name", ""},
		{"chat", chatByID, []any{c.chat, tenantA}, "last_seq", "4"},
		{"chat of another tenant", chatByID, []any{foreign.chat, tenantB}, "last_seq", ""},
		{"members", membersByID, []any{c.chat, tenantA}, "transport", "sms sms"},
		{"members of another tenant", membersByID, []any{foreign.chat, tenantB}, "transport", ""},
		{"client with contacts", clientWithContacts, []any{c.client, tenantA}, "contact_type", "phone email"},
		{"corrected chat with messages", correctedChatWithMessages, []any{c.chat, tenantA}, "seq", "4 3 2 1"},
		{"of another tenant", correctedChatWithMessages, []any{foreign.chat, tenantB}, "seq", ""},
		// What the agent wrote is not unread, though nobody has read it.
		{"unread", unread, []any{c.chat}, "seq", "2 3 4"},
		{"corrected unread", correctedUnread, []any{c.chat}, "seq", "2"},
		{"last per chat", lastPerChat, []any{[]int{c.chat, other.chat, foreign.chat}}, "seq", "4 4"},
		{"corrected last per chat", correctedLastPerChat, []any{[]int{c.chat, other.chat, foreign.chat}}, "seq", "4 4"},
	} {
		if have := column(s, test.column, test.sql, test.args...); have != test.expected {
			t.Errorf("%s: %s is %q, expected %q", test.name, test.column, have, test.expected)
		}
	}

	const undefinedTable = "42P01"
	if r := s.refused(undefinedTable, chatWithMessages, c.chat, tenantA); !strings.Contains(r.message, `"s"`) {
		t.Errorf("the query without s: %s", r.message)
	}
	// Repaired as it stands, it has every message once per member.
	repaired := strings.Replace(chatWithMessages, ", s.id as sender_id", "", 1)
	if have := column(s, "seq", repaired, c.chat, tenantA); have != "4 4 3 3 2 2 1 1" {
		t.Errorf("the query without its alias: %q", have)
	}

	doc := readDoc(t)
	for _, sql := range []string{correctedChatWithMessages, correctedUnread, correctedLastPerChat} {
		if !strings.Contains(doc, sql) {
			t.Errorf("docs/data-model.md does not have\n%s", sql)
		}
	}
}

// column joins the values of the column of that name, the last one of several.
func column(s *session, name, sql string, args ...any) string {
	s.t.Helper()
	rows, _ := s.conn.Query(s.t.Context(), sql, args...)
	values, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		all, err := row.Values()
		for i, field := range row.FieldDescriptions() {
			if field.Name == name {
				all[0] = all[i]
			}
		}
		return fmt.Sprint(all[0]), err
	})
	if err != nil {
		s.t.Fatalf("%s\n%s", describe(err), sql)
	}
	return strings.Join(values, " ")
}

// The data model's DISTINCT ON reads every message of the chats; the corrected
// query reads one of each.
func TestLastMessagePerChatReadsOneRowEach(t *testing.T) {
	t.Parallel()
	s := open(t)
	w := seedTenant(s, tenantA)
	var chats []int
	for i := range 5 {
		c := seedClient(s, w, fmt.Sprint("+491", i))
		s.exec(`INSERT INTO crm_chat_messages (chat_id, sender_id, message, seq, direction, sent_at)
			SELECT $1, $2, 'x', n, 'in', now() FROM generate_series(5, 1000) n`, c.chat, c.them)
		chats = append(chats, c.chat)
	}
	s.act(owner, "")
	s.exec("ANALYZE crm_chat_messages")
	s.act(api, tenantA)
	if n := rowsRead(s, lastPerChat, chats); n != 5000 {
		t.Errorf("DISTINCT ON reads %d messages; is the correction still needed?", n)
	}
	if n := rowsRead(s, correctedLastPerChat, chats); n != 5 {
		t.Errorf("the corrected query reads %d messages, expected 5", n)
	}
}

// rowsRead is how many messages the query's plan takes from the table.
func rowsRead(s *session, sql string, args ...any) int {
	s.t.Helper()
	type node struct {
		Relation string  `json:"Relation Name"`
		Rows     float64 `json:"Actual Rows"`
		Removed  float64 `json:"Rows Removed by Filter"`
		Loops    float64 `json:"Actual Loops"`
		Plans    []node
	}
	var explained []struct{ Plan node }
	if err := json.Unmarshal(one[[]byte](s, "EXPLAIN (ANALYZE, FORMAT JSON) "+sql, args...), &explained); err != nil {
		s.t.Fatal(err)
	}
	var sum func(n node) float64
	sum = func(n node) (rows float64) {
		if n.Relation == "crm_chat_messages" {
			rows = (n.Rows + n.Removed) * n.Loops
		}
		for _, child := range n.Plans {
			rows += sum(child)
		}
		return rows
	}
	return int(sum(explained[0].Plan))
}
