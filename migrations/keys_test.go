package migrations_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// foreignKey is one of the live schema, read from the catalog.
type foreignKey struct {
	Name, Child, Parent string
	// Columns of the child and Targets of the parent, pairwise.
	Columns, Targets []string
	// Definition recreates it.
	Definition string
}

func foreignKeys(s *session) []foreignKey {
	s.t.Helper()
	rows, _ := s.conn.Query(s.t.Context(), `
		SELECT conname AS name, conrelid::regclass::text AS child, confrelid::regclass::text AS parent,
		       array(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY k (n, i)
		               JOIN pg_attribute ON attrelid = conrelid AND attnum = n ORDER BY i) AS columns,
		       array(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY k (n, i)
		               JOIN pg_attribute ON attrelid = confrelid AND attnum = n ORDER BY i) AS targets,
		       pg_get_constraintdef(oid) AS definition
		  FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
		 ORDER BY 2, 1`)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[foreignKey])
	if err != nil {
		s.t.Fatal(describe(err))
	}
	return list
}

func TestForeignKeysAreIndexed(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, key := range foreignKeys(s) {
		// The tenant alone selects little: the index has to reach the last column,
		// with nothing before it that the key does not know.
		indexed := one[bool](s, `
			SELECT EXISTS (
				SELECT FROM pg_index i CROSS JOIN LATERAL (
					SELECT array_agg(attname::text ORDER BY n) AS columns
					  FROM unnest(indkey::int[]) WITH ORDINALITY k (a, n)
					  JOIN pg_attribute ON attrelid = indrelid AND attnum = a) c
				 WHERE indrelid = $1::text::regclass AND indisvalid
				   -- A partial index serves when it leaves out nothing but NULL.
				   AND (indpred IS NULL OR pg_get_expr(indpred, indrelid) = format('(%s IS NOT NULL)', $3::text))
				   AND c.columns[1:array_position(c.columns, $3)] <@ $2::text[])`,
			key.Child, key.Columns, key.Columns[len(key.Columns)-1])
		if !indexed {
			t.Errorf("%s of %s (%s) has no index", key.Name, key.Child, strings.Join(key.Columns, ", "))
		}
	}
}

// The worker sees all tenants: what stops it from mixing them is the keys alone.
func TestReferencesAcrossTenantsAreRefused(t *testing.T) {
	t.Parallel()
	s := open(t)
	// More messages in A's chat than in B's, so that a seq is not taken there.
	a := seedTenant(s, tenantA)
	seedClient(s, a, "+4910")
	c := seedClient(s, a, "+4911")
	s.exec("INSERT INTO crm_chat_messages (chat_id, sender_id, message, channel_id) VALUES ($1, $2, '!', $3)", c.chat, c.them, a.channel)
	seedClient(s, seedTenant(s, tenantB), "+4920")
	s.exec("INSERT INTO crm_clients (first_name) VALUES ('Nobody')") // likewise a client without words
	s.act(worker, "")
	tried := 0
	for _, key := range foreignKeys(s) {
		if key.Parent == "tenants" {
			continue
		}
		if i := slices.Index(key.Columns, "tenant_id"); i < 0 || key.Targets[i] != "tenant_id" {
			t.Errorf("%s of %s does not carry the tenant", key.Name, key.Child)
			continue
		}
		var set, match []string
		for i, column := range key.Columns {
			if column != "tenant_id" {
				set = append(set, fmt.Sprintf("%s = other.%s", column, key.Targets[i]))
				match = append(match, fmt.Sprintf("r.%s = o.%s", column, key.Targets[i]))
			}
		}
		// A row that nobody refers to yet: a unique index must not refuse first.
		sql := fmt.Sprintf(`WITH other AS (
				SELECT * FROM %[2]s o WHERE tenant_id = '%[3]s'
				 ORDER BY EXISTS (SELECT FROM %[1]s r WHERE %[5]s), o.id LIMIT 1)
			UPDATE %[1]s mine SET %[4]s FROM other
			 WHERE mine.ctid = (SELECT max(ctid) FROM %[1]s WHERE tenant_id = '%[6]s' AND %[7]s IS NOT NULL)`,
			key.Child, key.Parent, tenantB, strings.Join(set, ", "), strings.Join(match, " AND "), tenantA, key.Columns[len(key.Columns)-1])
		if one[int](s, fmt.Sprintf("SELECT least((SELECT count(*) FROM %s WHERE tenant_id = $1 AND %s IS NOT NULL), (SELECT count(*) FROM %s WHERE tenant_id = $2))::int",
			key.Child, key.Columns[len(key.Columns)-1], key.Parent), tenantA, tenantB) == 0 {
			t.Errorf("%s of %s: no rows to try it with", key.Name, key.Child)
			continue
		}
		s.refused(stateForeign, sql)
		tried++
	}
	if tried < 15 {
		t.Errorf("only %d keys were tried", tried)
	}
}
