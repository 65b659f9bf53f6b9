package migrations_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// facts is what a schema is, one line per thing:
//
//	table crm_chats                 table
//	column crm_chats.created_at     timestamp with time zone not null default now()
//	index idx_crm_chats_client_id   CREATE INDEX … USING btree (client_id)
//	constraint crm_chats_pkey       crm_chats PRIMARY KEY (id)
//	trigger crm_chats.name          BEFORE INSERT … EXECUTE FUNCTION …
type facts map[string]string

// readFacts describes the tables of a schema whose names fit the LIKE pattern.
// An index that belongs to a constraint is told by the constraint alone.
func readFacts(s *session, schema, pattern string) facts {
	s.t.Helper()
	s.exec(fmt.Sprintf("SET LOCAL search_path = %s, public", schema))
	rows, err := s.conn.Query(s.t.Context(), `
		WITH t AS (
			SELECT c.oid, c.relname FROM pg_class c
			 WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND c.relname LIKE $2
		)
		SELECT 'table ' || relname, 'table' FROM t
		UNION ALL
		SELECT format('column %s.%s', relname, attname),
		       format_type(atttypid, atttypmod)
		       || CASE WHEN attnotnull THEN ' not null' ELSE '' END
		       || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
		  FROM t JOIN pg_attribute ON attrelid = t.oid AND attnum > 0 AND NOT attisdropped
		  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		UNION ALL
		SELECT 'index ' || i.relname, pg_get_indexdef(i.oid)
		  FROM t JOIN pg_index ON indrelid = t.oid JOIN pg_class i ON i.oid = indexrelid
		 WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.oid AND contype IN ('p', 'u', 'x'))
		UNION ALL
		-- NOT NULL is told with its column; servers from 18 on list it here, too.
		SELECT 'constraint ' || conname,
		       relname || ' ' || pg_get_constraintdef(c.oid) || CASE WHEN convalidated THEN '' ELSE ' NOT VALID' END
		  FROM t JOIN pg_constraint c ON conrelid = t.oid WHERE contype <> 'n'
		UNION ALL
		SELECT format('trigger %s.%s', relname, tgname), substring(pg_get_triggerdef(g.oid) FROM '(?:BEFORE|AFTER).*')
		  FROM t JOIN pg_trigger g ON tgrelid = t.oid WHERE NOT tgisinternal`, schema, pattern)
	if err != nil {
		s.t.Fatal(err)
	}
	list := facts{}
	unqualified := strings.NewReplacer(schema+".", "", "public.", "")
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			s.t.Fatal(err)
		}
		list[key] = strings.Join(strings.Fields(unqualified.Replace(value)), " ")
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(describe(err))
	}
	return list
}

// contractFacts makes the contract's tables in a schema of their own and
// describes them.
func contractFacts(s *session) facts {
	s.t.Helper()
	s.exec("CREATE SCHEMA contract")
	s.exec("SET LOCAL search_path = contract, public")
	for _, table := range contract {
		columns := make([]string, len(table.columns))
		for i, c := range table.columns {
			columns[i] = c.name + " " + c.typ + " " + c.constraints
		}
		s.exec(fmt.Sprintf("CREATE TABLE %s (%s)", table.name, strings.Join(columns, ", ")))
	}
	for _, table := range contract {
		for _, sql := range slices.Concat(table.indexes, table.constraints) {
			s.exec(sql)
		}
	}
	return readFacts(s, "contract", "%")
}

// difference is a deliberate departure from the contract, told with its reason
// in docs/data-model.md as well.
type difference struct {
	reason string
	// live is what the schema has instead, by the fact's key; "" for what it
	// does not have.
	live map[string]string
}

// checkContract holds the live schema against the contract and names what is
// neither the same nor listed, and what is listed and not so.
func checkContract(want, live facts, listed []difference) []string {
	var complaints []string
	deliberate := facts{}
	for _, d := range listed {
		for key, value := range d.live {
			if _, twice := deliberate[key]; twice {
				complaints = append(complaints, key+" is listed twice")
			}
			deliberate[key] = value
		}
	}
	keys := facts{}
	for _, f := range []facts{want, live, deliberate} {
		maps.Copy(keys, f)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		expected, listed := deliberate[key]
		if !listed {
			expected = want[key]
		}
		switch {
		case live[key] != expected:
			complaints = append(complaints, fmt.Sprintf("%s\n\tis        %s\n\texpected  %s", key, orNone(live[key]), orNone(expected)))
		case listed && expected == want[key]:
			complaints = append(complaints, key+" is listed as a difference and does not differ")
		}
	}
	return complaints
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}
