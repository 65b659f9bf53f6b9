package migrations_test

import "testing"

// The audit holds what was stored against what is there and what left with its
// client or tenant. A row deleted by hand must not pass for the latter.
func TestErasuresAreCounted(t *testing.T) {
	t.Parallel()
	s := open(t)
	seedClient(s, seedTenant(s, tenantB), "+4920")
	w := seedTenant(s, tenantA)
	seedClient(s, w, "+4910")
	c := seedClient(s, w, "+4911")
	// Replayed: the ledger counts it as quarantined. Not from the bus: not counted.
	s.exec("UPDATE crm_chat_messages SET late = true WHERE id = $1", c.in)

	for _, test := range []struct {
		name, sql string
		arg       any
		by        []who
		// partition/incarnation: messages, ignored, quarantined
		expected string
	}{
		{
			"a client", "DELETE FROM crm_clients WHERE id = $1", c.client, whoDeletesClients,
			"1/0: 1 0 0; 2/0: 1 0 0",
		},
		{
			"a chat", "DELETE FROM crm_chats WHERE id = $1", c.chat, whoDeletesClients,
			"1/0: 1 0 0; 2/0: 1 0 0",
		},
		{
			"a tenant", "DELETE FROM tenants WHERE id = $1", tenantA, whoDeletesTenants,
			"1/0: 3 1 1; 2/0: 3 0 0",
		},
		{
			"messages by hand, their updates with them", "DELETE FROM crm_chat_messages WHERE chat_id = $1", c.chat, whoDeletesClients,
			"2/0: 1 0 0",
		},
		{"updates by hand", "DELETE FROM parley_updates WHERE tenant_id = $1", tenantA, whoDeletesTenants, ""},
		{"ignored by hand", "DELETE FROM parley_ignored WHERE tenant_id = $1", tenantA, whoDeletesTenants, ""},
		{"quarantined by hand", "DELETE FROM parley_quarantine WHERE tenant_id = $1", tenantA, whoDeletesTenants, ""},
		{"a user", "DELETE FROM core_users WHERE id = $1", w.user, whoDeletesTenants, ""},
	} {
		for _, as := range test.by {
			s.undone(func() {
				s.act(as.role, as.tenant)
				if s.exec(test.sql, test.arg) == 0 {
					t.Errorf("%s as %s: nothing deleted", test.name, as.role)
				}
				s.exec("SET CONSTRAINTS ALL IMMEDIATE")
				s.act(worker, "")
				if have := erasures(s); have != test.expected {
					t.Errorf("%s as %s: counted %q, expected %q", test.name, as.role, have, test.expected)
				}
			})
		}
	}
}

func erasures(s *session) string {
	s.t.Helper()
	return one[string](s, `SELECT coalesce(string_agg(format('%s/%s: %s %s %s', p, i, m, g, q), '; ' ORDER BY p, i), '') FROM (
		SELECT stream_partition, incarnation, sum(messages), sum(ignored), sum(quarantined) FROM parley_erasures
		 GROUP BY 1, 2) e (p, i, m, g, q)`)
}

// Deleting one message must not read every chat to know whether it was a cascade.
func TestErasureOfOneMessageIsCheap(t *testing.T) {
	t.Parallel()
	s := open(t)
	w := seedTenant(s, tenantA)
	c := seedClient(s, w, "+4910")
	s.exec("INSERT INTO crm_clients (first_name) SELECT 'x' FROM generate_series(1, 3000)")
	s.exec("INSERT INTO crm_chats (client_id) SELECT id FROM crm_clients WHERE first_name = 'x'")
	s.act(owner, "")
	s.exec("ANALYZE crm_chats")
	s.act(worker, "")
	read := func() int {
		return one[int](s, "SELECT (seq_tup_read + coalesce(idx_tup_fetch, 0))::int FROM pg_stat_xact_user_tables WHERE relname = 'crm_chats'")
	}
	s.exec("BEGIN")
	before := read()
	s.exec("DELETE FROM crm_chat_messages WHERE id = $1", c.in)
	if n := read() - before; n > 10 {
		t.Errorf("%d chats were read to delete one message", n)
	}
	s.exec("ROLLBACK")
}
