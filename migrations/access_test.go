package migrations_test

import "testing"

// seedAccess writes a row into every table of who may use Parley, of a user who
// is in no chat.
func (s *session) seedAccess(w *tenantWorld) {
	s.t.Helper()
	user := one[int](s, "INSERT INTO core_users (name, role) VALUES ('Cy', 'owner') RETURNING id")
	const hash = "sha256(convert_to(gen_random_uuid()::text, 'UTF8'))"
	s.exec("INSERT INTO parley_sessions (user_id, hash, expires_at, idle) VALUES ($1, "+hash+", now() + interval '1 day', '1 hour')", user)
	s.exec("INSERT INTO parley_subjects (issuer, subject, user_id) VALUES ('https://id.example.com', 'cy', $1)", user)
	s.exec("INSERT INTO parley_tokens (user_id, name, prefix, hash, scopes, expires_at) VALUES ($1, 'bot', 'x', "+hash+", '{chats:read}', now())", user)
	s.exec("INSERT INTO parley_invitations (user_id, made_by, role, hash, expires_at) VALUES ($1, $1, 'agent', "+hash+", now())", user)
	s.exec("INSERT INTO parley_audit_log (tenant_id, actor_kind, action) VALUES ($1, 'operator', 'user.add')", w.tenant)
}

// No role changes or removes what the log says; a tenant's erasure takes it along
// (TestDeletes).
func TestAuditLogIsAppendOnly(t *testing.T) {
	t.Parallel()
	s := open(t)
	seedTenant(s, tenantA)
	for _, role := range []string{owner, api, worker, backup} {
		for _, sql := range []string{
			"UPDATE parley_audit_log SET action = 'other'", "DELETE FROM parley_audit_log", "TRUNCATE parley_audit_log",
		} {
			s.act(role, tenantA)
			s.refused(stateForbidden, sql)
		}
	}
	s.act(worker, "")
	if n := one[int](s, "SELECT count(*)::int FROM parley_audit_log WHERE action = 'user.add'"); n != 1 {
		t.Errorf("%d rows are left, expected 1", n)
	}
}

func TestAccessGoesWithItsUser(t *testing.T) {
	t.Parallel()
	s := open(t)
	seedTenant(s, tenantA)
	s.act(worker, tenantA)
	s.exec("DELETE FROM core_users WHERE name = 'Cy'")
	for _, table := range []string{"parley_sessions", "parley_tokens", "parley_invitations", "parley_subjects"} {
		if n := one[int](s, "SELECT count(*)::int FROM "+table); n != 0 {
			t.Errorf("%d rows of %s outlived their user", n, table)
		}
	}
	if n := one[int](s, "SELECT count(*)::int FROM parley_audit_log"); n != 1 {
		t.Errorf("%d rows of the audit log, expected 1", n)
	}
}

// The API sets neither another tenant's nor its own past: what it may update of
// the tables of access is listed column by column.
func TestAPIUpdatesOnlyWhatItMust(t *testing.T) {
	t.Parallel()
	s := open(t)
	seedTenant(s, tenantA)
	s.act(api, tenantA)
	for _, sql := range []string{
		"UPDATE parley_sessions SET expires_at = 'infinity'", "UPDATE parley_sessions SET user_id = 1",
		"UPDATE parley_tokens SET scopes = '{users:write}'", "UPDATE parley_tokens SET expires_at = 'infinity'",
		"UPDATE parley_invitations SET role = 'owner'", "UPDATE parley_invitations SET made_by = NULL", "UPDATE core_users SET service = false",
		"SELECT FROM parley_throttle", "DELETE FROM core_users",
	} {
		s.refused(stateForbidden, sql)
	}
}
