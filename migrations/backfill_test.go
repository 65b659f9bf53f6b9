package migrations_test

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"parley/migrations"
)

// Under FORCE row security its owner's statements silently touch no row of any
// tenant. A migration that changes rows therefore takes the worker's role first;
// one that forgets to is found here, where no rows are there to be missed.
func TestBackfillsTakeTheWorkersRole(t *testing.T) {
	t.Parallel()
	tables := tenantTables(open(t))
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{
		"00007_outbound_actions.sql: DELETE FROM parley_deliveries": "on the way down; the unique constraint that follows fails while there are any",
	}
	for _, file := range files {
		text, err := fs.ReadFile(migrations.FS, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range unroledBackfills(string(text), tables) {
			if known[file+": "+found] == "" {
				t.Errorf("%s: %s touches nothing as the owner of the tables: begin with SET LOCAL ROLE parley_worker, end with RESET ROLE", file, found)
			}
		}
	}
}

var (
	functionBody  = regexp.MustCompile(`(?is)CREATE (OR REPLACE )?(FUNCTION|PROCEDURE).*?\$\$.*?\$\$`)
	sqlComment    = regexp.MustCompile(`--[^\n]*`)
	changesRows   = regexp.MustCompile(`(?i)\b(UPDATE|DELETE FROM|INSERT INTO)\s+(?:ONLY\s+)?(?:public\.)?(\w+)`)
	takesRole     = regexp.MustCompile(`(?i)SET (LOCAL )?ROLE parley_worker`)
	givesRoleBack = regexp.MustCompile(`(?i)RESET ROLE`)
	forceSwitched = regexp.MustCompile(`(?i)ALTER TABLE (\w+) (NO )?FORCE ROW LEVEL SECURITY`)
)

// unroledBackfills are the statements of a migration that change a tenant table's
// rows while the role is the owner's.
func unroledBackfills(text string, tables []string) (found []string) {
	text = functionBody.ReplaceAllString(sqlComment.ReplaceAllString(text, ""), "")
	for _, at := range changesRows.FindAllStringSubmatchIndex(text, -1) {
		table := strings.ToLower(text[at[4]:at[5]])
		if !slices.Contains(tables, table) {
			continue
		}
		before := text[:at[0]]
		taken, back := takesRole.FindAllStringIndex(before, -1), givesRoleBack.FindAllStringIndex(before, -1)
		if len(taken) == 0 || len(back) > 0 && back[len(back)-1][0] > taken[len(taken)-1][0] {
			if open := forceSwitched.FindAllStringSubmatch(before, -1); len(open) > 0 {
				if last := open[len(open)-1]; last[1] == table && last[2] != "" {
					continue // its owner is exempt for as long
				}
			}
			found = append(found, strings.ToUpper(text[at[2]:at[3]])+" "+table)
		}
	}
	return found
}

func TestUnroledBackfillsAreFound(t *testing.T) {
	t.Parallel()
	tables := []string{"crm_clients"}
	for text, want := range map[string]int{
		"UPDATE crm_clients SET pin = NULL;":                                                                                                          1,
		"SET LOCAL ROLE parley_worker;\nUPDATE crm_clients SET pin = NULL;\nRESET ROLE;":                                                              0,
		"SET LOCAL ROLE parley_worker;\nRESET ROLE;\nDELETE FROM crm_clients;":                                                                        1,
		"ALTER TABLE crm_clients NO FORCE ROW LEVEL SECURITY;\nUPDATE crm_clients SET pin = NULL;\nALTER TABLE crm_clients FORCE ROW LEVEL SECURITY;": 0,
		"-- UPDATE crm_clients\nUPDATE other SET a = 1;":                                                                                              0,
		"CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ UPDATE crm_clients SET pin = NULL $$;":                                                   0,
		"DO $$ BEGIN INSERT INTO crm_clients (first_name) SELECT name FROM core_users; END $$;":                                                       1,
		"CREATE TRIGGER t BEFORE INSERT ON crm_clients FOR EACH ROW EXECUTE FUNCTION f();\nGRANT UPDATE ON crm_clients TO x":                          0,
	} {
		if got := unroledBackfills(text, tables); len(got) != want {
			t.Errorf("%d found in %q: %v", len(got), text, got)
		}
	}
}

// What a backfill does as each role, on a server whose owner of the tables is no
// superuser, which is how the tests' own is set up.
func TestBackfillUnderForce(t *testing.T) {
	t.Parallel()
	s := open(t)
	if one[bool](s, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user") {
		t.Fatal("the owner of the tables is not bound by row security")
	}
	seedClient(s, seedTenant(s, tenantA), "+4910")
	seedClient(s, seedTenant(s, tenantB), "+4920")
	const backfill = "UPDATE crm_clients SET comments = 'filled'"
	s.act(worker, "")
	all := one[int64](s, "SELECT count(*) FROM crm_clients")
	s.act(owner, "")
	if n := s.exec(backfill); n != 0 {
		t.Errorf("the owner changed %d rows without saying whose", n)
	}
	// Who asks to be told instead is told.
	s.undone(func() {
		s.exec("SET LOCAL row_security = off")
		s.refused(stateForbidden, backfill)
	})
	s.undone(func() {
		s.exec("SET LOCAL ROLE parley_worker")
		if n := s.exec(backfill); n != all {
			t.Errorf("the worker changed %d rows, expected both tenants'", n)
		}
	})
	s.act(backup, "")
	s.refused(stateForbidden, backfill)
}

// Nobody who has not said for which tenant sees a row, whatever they ask for.
func TestNoTenantNoRows(t *testing.T) {
	t.Parallel()
	s := open(t)
	seedClient(s, seedTenant(s, tenantA), "+4910")
	for _, role := range []string{api, owner} {
		for _, tenant := range []string{"", "00000000-0000-0000-0000-000000000000"} {
			for _, table := range tenantTables(s) {
				s.undone(func() {
					s.act(role, tenant)
					var n int
					if err := s.conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil && sqlState(err) != stateForbidden || n != 0 {
						t.Errorf("%s as %s for %q: %d rows, %v", table, role, tenant, n, err)
					}
				})
			}
		}
	}
	// What is no tenant's id is an error, not everything.
	s.act(api, "' OR true --")
	s.refused("22P02", "SELECT FROM crm_clients")
}
