package migrations_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// noTenant are the tables without rows of tenants.
var noTenant = map[string]string{
	"parley_migrations":      "which migrations were applied",
	"parley_partitions":      "a partition of the bus carries events of all tenants",
	"parley_leases":          "which process does what",
	"parley_throttle":        "hashes of accounts and addresses that failed to log in; the API cannot read them",
	"parley_removed_tenants": "that a tenant was removed, kept after it is gone; the API cannot read them",
	"parley_erasures":        "counts by partition, kept after the tenant is gone; the API cannot read them",

	"parley_secrets":        "keys of the whole installation, sealed; the API cannot read them",
	"parley_words_progress": "how far the words of each table are written; the API cannot read it",
}

// definers are the functions that run with the rights of their owner, each with
// the reason why that opens no wall. The owner is bound by the walls himself.
var definers = map[string]string{}

func TestWalls(t *testing.T) {
	t.Parallel()
	s := open(t)
	seedClient(s, seedTenant(s, tenantA), "+4910")
	seedClient(s, seedTenant(s, tenantB), "+4920")
	for _, complaint := range checkWalls(s) {
		t.Error(complaint)
	}
}

// A checker that never complains would pass for ever.
func TestWallsCheckerComplains(t *testing.T) {
	t.Parallel()
	s := open(t)
	seedClient(s, seedTenant(s, tenantA), "+4910")
	seedClient(s, seedTenant(s, tenantB), "+4920")
	for _, test := range []struct{ name, sql, complaint string }{
		{"policy removed", "DROP POLICY parley_tenant ON crm_clients", "crm_clients as parley_api with tenant"},
		{"worker policy removed", "DROP POLICY parley_worker ON crm_clients", "crm_clients as parley_worker with tenant"},
		{"policy for all", "CREATE POLICY gate ON crm_clients USING (true)", "crm_clients.gate"},
		{"inserts unchecked", "ALTER POLICY parley_tenant ON crm_clients WITH CHECK (true)", "crm_clients as parley_api: insert of another"},
		{"worker by inheritance", "ALTER POLICY parley_worker ON crm_clients USING (true)", "crm_clients as owner with tenant \"\": rows"},
		{"not forced", "ALTER TABLE crm_clients NO FORCE ROW LEVEL SECURITY", "row security of crm_clients"},
		{"not enabled", "ALTER TABLE crm_clients DISABLE ROW LEVEL SECURITY", "row security of crm_clients"},
		{"new table, no walls", "CREATE TABLE parley_new (tenant_id uuid)", "row security of parley_new"},
		{"new table, no tenant", "CREATE TABLE parley_new (id int)", "parley_new has no tenant_id"},
		{
			"new table, not seeded", "CREATE TABLE parley_new (tenant_id uuid); CALL parley_isolate('parley_new')",
			"parley_new as parley_worker with tenant",
		},
		{"view around the walls", "CREATE VIEW parley_view AS SELECT * FROM crm_clients", "reader: parley_view"},
		{"materialized view", "CREATE MATERIALIZED VIEW parley_view AS SELECT * FROM crm_clients", "reader: parley_view"},
		{
			"function of the owner", "CREATE FUNCTION parley_f() RETURNS bigint LANGUAGE sql SECURITY DEFINER RETURN 1",
			"function parley_f",
		},
		{"worker cannot see", "REVOKE SELECT ON crm_clients FROM parley_worker", "cannot read: parley_worker crm_clients"},
		{"backup cannot see", "REVOKE SELECT ON parley_leases FROM parley_backup", "cannot read: parley_backup parley_leases"},
		{"backup writes", "GRANT UPDATE (data) ON parley_facts TO parley_backup", "backup can write: parley_facts"},
		{
			"API owns a table", "GRANT CREATE ON SCHEMA public TO parley_api; ALTER TABLE crm_clients OWNER TO parley_api",
			"object of the API, the worker or the backup: crm_clients",
		},
		{"API reads the erasures", "GRANT SELECT ON parley_erasures TO parley_api", "API can read: parley_erasures"},
	} {
		s.undone(func() {
			s.act(owner, "")
			s.exec(test.sql)
			complaints := strings.Join(checkWalls(s), "\n")
			if !strings.Contains(complaints, test.complaint) {
				t.Errorf("%s: the checker did not notice, it said: %s", test.name, complaints)
			}
		})
	}
}

// checkWalls names everything through which a tenant's rows could be seen or
// written by another. Every tenant table must have rows of tenantA and tenantB.
func checkWalls(s *session) []string {
	s.t.Helper()
	return checkWallsOf(s, tenantTables(s)...)
}

// checkWallsOf tries these tables only; the catalog is looked at as a whole.
func checkWallsOf(s *session, tables ...string) []string {
	s.t.Helper()
	c := &wallChecker{s: s}
	s.undone(func() {
		s.act(owner, "")
		c.catalog()
		for _, table := range tables {
			c.reads(table)
			c.writes(table)
		}
		c.appendOnly()
	})
	return c.complaints
}

type wallChecker struct {
	s          *session
	complaints []string
}

func (c *wallChecker) complain(format string, args ...any) {
	c.complaints = append(c.complaints, fmt.Sprintf(format, args...))
}

// catalog looks at what is declared.
func (c *wallChecker) catalog() {
	c.s.t.Helper()
	isTenants := map[string]bool{}
	for _, table := range tenantTables(c.s) {
		isTenants[table] = true
	}
	for _, table := range query[string](c.s, `SELECT relname::text FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')`) {
		if !isTenants[table] && noTenant[table] == "" {
			c.complain("table %s has no tenant_id and is not listed with a reason", table)
		}
		if isTenants[table] && noTenant[table] != "" {
			c.complain("table %s is listed as having no tenant", table)
		}
		if !one[bool](c.s, "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = $1::text::regclass", table) && isTenants[table] {
			c.complain("row security of %s is not forced", table)
		}
	}
	for what, sql := range map[string]string{
		"policy that parley_isolate did not make": `SELECT polrelid::regclass || '.' || polname FROM pg_policy
			WHERE polname NOT IN ('parley_tenant', 'parley_worker', 'parley_backup') OR NOT polpermissive
			   OR polcmd <> CASE polname WHEN 'parley_backup' THEN 'r' ELSE '*' END`,
		"view that does not check as its reader": `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
			AND (relkind = 'm' OR relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (reloptions), false))`,
		"role that row security does not bind": `SELECT rolname FROM pg_roles
			WHERE (rolname LIKE 'parley\_%' OR rolname = current_user) AND (rolsuper OR rolbypassrls)`,
		"role that may become a stronger one": `SELECT m.rolname || ' → ' || g.rolname FROM pg_roles m, pg_roles g
			WHERE m.rolname IN ('parley_api', 'parley_worker', 'parley_backup') AND m.oid <> g.oid AND pg_has_role(m.oid, g.oid, 'MEMBER')`,
		"role that may log in": `SELECT rolname FROM pg_roles
			WHERE rolname IN ('parley_api', 'parley_worker', 'parley_backup') AND (rolcanlogin OR rolcreaterole OR rolcreatedb OR rolreplication)`,
		"object of the API, the worker or the backup": `SELECT relname FROM pg_class
			WHERE relnamespace = 'public'::regnamespace AND relowner IN ('parley_api'::regrole, 'parley_worker'::regrole, 'parley_backup'::regrole)`,
		// Or its rows are missing in a backup.
		"table or sequence that the worker or the backup cannot read": `SELECT r || ' ' || relname FROM pg_class, unnest('{parley_worker,parley_backup}'::text[]) r
			WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S') AND CASE relkind
			      WHEN 'S' THEN NOT has_sequence_privilege(r, oid, 'SELECT')
			      ELSE NOT has_table_privilege(r, oid, 'SELECT') END`,
		"table that the backup can write": `SELECT relname FROM pg_class
			WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
			  AND (has_table_privilege('parley_backup', oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')
			       OR has_any_column_privilege('parley_backup', oid, 'INSERT, UPDATE, REFERENCES'))`,
		"log that somebody can change": `SELECT r || ' ' || p FROM unnest('{parley_api,parley_worker,parley_backup}'::text[]) r,
			     unnest('{UPDATE,DELETE,TRUNCATE}'::text[]) p
			WHERE has_table_privilege(r, 'parley_audit_log', p) OR p = 'UPDATE' AND has_any_column_privilege(r, 'parley_audit_log', p)`,
		"table of all tenants that the API can read": `SELECT relname FROM pg_class
			WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relrowsecurity
			  AND has_table_privilege('parley_api', oid, 'SELECT')`,
	} {
		for _, name := range query[string](c.s, sql) {
			c.complain("%s: %s", what, name)
		}
	}
	for _, name := range query[string](c.s, `SELECT proname::text FROM pg_proc
		WHERE pronamespace = 'public'::regnamespace AND prosecdef`) {
		if definers[name] == "" {
			c.complain("function %s runs with its owner's rights and is not listed with a reason", name)
		}
	}
}

// reads looks at what each role sees. The owner is a member of the worker's
// role and must not see through it.
func (c *wallChecker) reads(table string) {
	c.s.t.Helper()
	column := tenantColumn(table)
	for _, test := range []struct {
		role, tenant string
		sees         string
	}{
		{api, "", ""},
		{api, tenantA, tenantA},
		{api, tenantB, tenantB},
		{owner, "", ""},
		{owner, tenantA, tenantA},
		{worker, "", tenantA + " " + tenantB},
		{backup, "", tenantA + " " + tenantB},
	} {
		c.s.undone(func() {
			c.s.act(test.role, test.tenant)
			var sees string
			err := c.s.conn.QueryRow(c.s.t.Context(), fmt.Sprintf(
				"SELECT coalesce(string_agg(DISTINCT %s::text, ' ' ORDER BY %[1]s::text), '') FROM %s", column, table)).Scan(&sees)
			switch {
			case sqlState(err) == stateForbidden && test.role == api:
				// Not granted at all.
			case err != nil:
				c.complain("%s as %s: %s", table, test.role, describe(err))
			case sees != test.sees:
				c.complain("%s as %s with tenant %q: rows of %q are seen, expected %q (seed a new table in seedTenant or seedClient)",
					table, test.role, test.tenant, sees, test.sees)
			}
		})
	}
}

// writes tries, for tenantA, to insert a row of tenantB and to give it one's own.
func (c *wallChecker) writes(table string) {
	c.s.t.Helper()
	var row *string
	c.s.undone(func() {
		c.s.act(worker, "")
		// Without the right to read there is nothing to copy, and reads has complained.
		_ = c.s.conn.QueryRow(c.s.t.Context(), fmt.Sprintf(
			"SELECT to_json(t)::text FROM %s t WHERE %s = $1 LIMIT 1", table, tenantColumn(table)), tenantB).Scan(&row)
	})
	if row == nil {
		return
	}
	columns := one[string](c.s, `SELECT string_agg(attname, ', ') FROM pg_attribute
		WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''`, table)
	for _, role := range []string{api, owner} {
		for what, sql := range map[string]string{
			"insert": fmt.Sprintf("INSERT INTO %s (%s) SELECT %[2]s FROM json_populate_record(NULL::%[1]s, $1)", table, columns),
			"update": fmt.Sprintf("UPDATE %s SET %s = ($1::json->>'%[2]s')::uuid", table, tenantColumn(table)),
		} {
			c.s.undone(func() {
				c.s.act(role, tenantA)
				_, err := c.s.conn.Exec(c.s.t.Context(), sql, *row)
				if sqlState(err) != stateForbidden {
					c.complain("%s as %s: %s of another tenant's row: %v", table, role, what, err)
				}
			})
		}
	}
}

// appendOnly tries to change the audit log as whoever could: its owner, who is
// bound by triggers, and the worker, who sees it all.
func (c *wallChecker) appendOnly() {
	c.s.t.Helper()
	for _, role := range []string{owner, worker, api, backup} {
		for _, sql := range []string{
			"UPDATE parley_audit_log SET action = 'other'", "DELETE FROM parley_audit_log", "TRUNCATE parley_audit_log",
		} {
			c.s.undone(func() {
				c.s.act(role, tenantA)
				if _, err := c.s.conn.Exec(c.s.t.Context(), sql); sqlState(err) != stateForbidden {
					c.complain("audit log as %s: %s: %v", role, sql, err)
				}
			})
		}
	}
}

func sqlState(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}
