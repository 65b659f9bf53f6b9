package migrations_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"parley/store/localpg"
	"parley/store/storetest"
)

// The walls are taken down, one stone at a time: each policy dropped and opened,
// each table's row security switched off, each role's limit lifted. Each time the
// walls' check must turn red, or it would not notice the real thing.
func TestEveryMissingWallIsNoticed(t *testing.T) {
	t.Parallel()
	s := connectAdmin(t, storetest.NewServer(t).URL())
	seedClient(s, seedTenant(s, tenantA), "+4910")
	seedClient(s, seedTenant(s, tenantB), "+4920")
	if complaints := checkWalls(s); len(complaints) > 0 {
		t.Fatalf("the walls are not whole to begin with: %v", complaints)
	}
	tried := map[string]int{}
	for _, b := range breaks(s) {
		tried[b.kind]++
		s.undone(func() {
			if b.admin {
				s.exec("RESET SESSION AUTHORIZATION")
			} else {
				s.act(owner, "")
			}
			s.exec(b.sql)
			s.exec("SET SESSION AUTHORIZATION " + localpg.Role)
			complaints := strings.Join(checkWallsOf(s, b.tables...), "\n")
			if !strings.Contains(complaints, b.names) {
				t.Errorf("nobody noticed: %s\nthe check says: %s", b.sql, complaints)
			}
		})
		s.exec("SET SESSION AUTHORIZATION " + localpg.Role) // undone by the rollback
	}
	if complaints := checkWalls(s); len(complaints) > 0 {
		t.Errorf("the walls are not whole in the end: %v", complaints)
	}
	total := 0
	for kind, n := range tried {
		total += n
		t.Logf("%3d × %s", n, kind)
	}
	t.Logf("%d walls of %d tables taken down one at a time, each noticed", total, len(tenantTables(s)))
}

// wallBreak is one thing that could go missing.
type wallBreak struct {
	kind, sql string
	// tables are those whose walls it concerns; names what a complaint must name.
	tables []string
	names  string
	// admin breaks take a superuser.
	admin bool
}

// breaks are all of them, by the catalog, so that a new table's are among them.
func breaks(s *session) []wallBreak {
	s.t.Helper()
	var list []wallBreak
	add := func(kind, sql, table string) {
		list = append(list, wallBreak{kind: kind, sql: sql, tables: []string{table}, names: table})
	}
	for _, policy := range query[string](s, "SELECT polrelid::regclass || ' ' || polname FROM pg_policy ORDER BY 1") {
		table, name, _ := strings.Cut(policy, " ")
		on := fmt.Sprintf("POLICY %s ON %s", name, table)
		add("policy dropped", "DROP "+on, table)
		if name == "parley_tenant" {
			// What is seen, and what may be written, each by itself.
			column := tenantColumn(table)
			add("policy lets everything be seen", fmt.Sprintf("ALTER %s USING (true) WITH CHECK (%s = parley_tenant())", on, column), table)
		} else {
			add("policy open to whoever inherits the role", "ALTER "+on+" USING (true)", table)
			add("policy for everybody", "ALTER "+on+" TO PUBLIC USING (true)", table)
		}
		if name != "parley_backup" {
			add("policy lets everything be written", "ALTER "+on+" WITH CHECK (true)", table)
		}
	}
	for _, table := range tenantTables(s) {
		add("row security not forced", fmt.Sprintf("ALTER TABLE %s NO FORCE ROW LEVEL SECURITY", table), table)
		add("row security off", fmt.Sprintf("ALTER TABLE %s DISABLE ROW LEVEL SECURITY", table), table)
		add("a view around the wall", fmt.Sprintf("CREATE VIEW around_%s AS SELECT * FROM %[1]s", table), table)
	}
	for table := range noTenant {
		if table != "parley_migrations" {
			add("table of all tenants granted to the API", fmt.Sprintf("GRANT SELECT ON %s TO parley_api", table), table)
			list[len(list)-1].tables = nil
		}
	}
	for _, trigger := range []string{"parley_append_only", "parley_append_only_all"} {
		add("trigger dropped", fmt.Sprintf("DROP TRIGGER %s ON parley_audit_log", trigger), "audit log as owner")
		list[len(list)-1].tables = nil
	}
	for _, role := range []string{api, worker, backup} {
		for _, privilege := range []string{"UPDATE", "DELETE", "TRUNCATE", "UPDATE (action)"} {
			add("audit log granted", fmt.Sprintf("GRANT %s ON parley_audit_log TO %s", privilege, role), role)
			list[len(list)-1].tables = nil
		}
	}
	return append(list, roleBreaks()...)
}

// roleBreaks lift the limits of the roles.
func roleBreaks() []wallBreak {
	var list []wallBreak
	for _, role := range []string{api, worker, backup, localpg.Role} {
		for _, power := range []string{"BYPASSRLS", "SUPERUSER"} {
			list = append(list, wallBreak{kind: "role that row security does not bind", sql: fmt.Sprintf("ALTER ROLE %s %s", role, power), names: role, admin: true})
		}
		if role == localpg.Role {
			continue
		}
		for _, power := range []string{"LOGIN", "CREATEROLE", "CREATEDB"} {
			list = append(list, wallBreak{kind: "role with more than it needs", sql: fmt.Sprintf("ALTER ROLE %s %s", role, power), names: role, admin: true})
		}
		for _, other := range []string{api, worker, backup, "pg_read_all_data", "pg_write_all_data"} {
			if other != role {
				list = append(list, wallBreak{kind: "role that may become a stronger one", sql: fmt.Sprintf("GRANT %s TO %s", other, role), names: role + " → " + other, admin: true})
			}
		}
	}
	return list
}

// connectAdmin logs in as the server's administrator, who then acts as the owner
// of the tables and can take that back.
func connectAdmin(t testing.TB, url string) *session {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.User = "postgres"
	s := connectConfig(t, cfg)
	s.exec("SET SESSION AUTHORIZATION " + localpg.Role)
	return s
}
