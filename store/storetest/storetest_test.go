package storetest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"parley/store"
	"parley/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestDatabasesAreApart(t *testing.T) {
	t.Parallel()
	a, b := connect(t, storetest.NewDatabase(t)), connect(t, storetest.NewDatabase(t))
	if _, err := a.Exec(t.Context(), `CREATE TABLE only_here ()`); err != nil {
		t.Fatal(err)
	}
	for conn, want := range map[*pgx.Conn]bool{a: true, b: false} {
		var migrated, here, super bool
		err := conn.QueryRow(t.Context(), `SELECT to_regclass('crm_chats') IS NOT NULL,
			to_regclass('only_here') IS NOT NULL, current_setting('is_superuser')::bool`).Scan(&migrated, &here, &super)
		if err != nil {
			t.Fatal(err)
		}
		if !migrated || here != want || super {
			t.Errorf("migrated %v, table %v (want %v), superuser %v", migrated, here, want, super)
		}
	}
}

func TestEmptyDatabase(t *testing.T) {
	t.Parallel()
	var tables int
	if err := connect(t, storetest.NewEmptyDatabase(t)).QueryRow(t.Context(),
		`SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace`).Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables != 0 {
		t.Errorf("an empty database holds %d relations", tables)
	}
}

func TestMigrateFromEmpty(t *testing.T) {
	t.Parallel()
	url := storetest.NewEmptyDatabase(t)
	applied, err := store.Migrate(t.Context(), url)
	if err != nil || len(applied) == 0 {
		t.Fatalf("applied %v, %v", applied, err)
	}
	if applied, err = store.Migrate(t.Context(), url); err != nil || len(applied) != 0 {
		t.Errorf("a second time applied %v, %v", applied, err)
	}
}

// A database goes with its test, even when the test left a connection open.
func TestDatabaseIsDropped(t *testing.T) {
	t.Parallel()
	var url string
	var open *pgx.Conn
	t.Run("inner", func(t *testing.T) {
		url = storetest.NewDatabase(t)
		var err error
		if open, err = pgx.Connect(t.Context(), url); err != nil {
			t.Fatal(err)
		}
	})
	defer open.Close(t.Context()) //nolint:errcheck // it is broken by then
	if conn, err := pgx.Connect(t.Context(), url); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the database outlived its test")
	}
}

func TestServerSurvivesStopAndKill(t *testing.T) {
	t.Parallel()
	s := storetest.NewServer(t)
	url := s.URL()
	exec := func(sql string) {
		t.Helper()
		if _, err := connect(t, s.URL()).Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE kept (n int)`)
	for _, end := range []func(){s.Stop, s.Kill, s.Kill} {
		exec(`INSERT INTO kept VALUES (1)`)
		end()
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			_ = conn.Close(t.Context())
			t.Fatal("the server still answers")
		}
		s.Start()
	}
	if s.URL() != url {
		t.Errorf("the URL changed from %s to %s", url, s.URL())
	}
	var n int
	if err := connect(t, url).QueryRow(t.Context(), `SELECT count(*) FROM kept`).Scan(&n); err != nil || n != 3 {
		t.Errorf("%d rows of 3 survived, %v", n, err)
	}
}

func BenchmarkNewDatabase(b *testing.B) {
	for b.Loop() {
		storetest.NewDatabase(b)
	}
}
