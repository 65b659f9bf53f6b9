package store_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"parley/events"
	"parley/migrations"
	"parley/store"
	"parley/store/storetest"
)

func TestReplicasMigrateOnce(t *testing.T) {
	t.Parallel()
	url := storetest.NewEmptyDatabase(t)
	const replicas = 8
	type result struct {
		applied []string
		err     error
	}
	results := make(chan result, replicas)
	for range replicas {
		go func() {
			applied, err := store.Migrate(t.Context(), url)
			results <- result{applied, err}
		}()
	}
	worked := 0
	for range replicas {
		r := <-results
		if r.err != nil {
			t.Error(r.err)
		}
		if len(r.applied) > 0 {
			worked++
		}
	}
	if worked != 1 {
		t.Errorf("%d replicas migrated, expected one", worked)
	}

	before := schema(t, url)
	if applied, err := store.Migrate(t.Context(), url); err != nil || len(applied) != 0 {
		t.Errorf("again: %v, %v", applied, err)
	}
	if !slices.Equal(schema(t, url), before) {
		t.Error("migrating again changed the schema")
	}
	current, newest, err := store.SchemaVersion(t.Context(), url)
	if err != nil || current != newest {
		t.Errorf("version %d of %d, %v", current, newest, err)
	}
}

// schemaOf moves a database's schema up and down.
func schemaOf(t *testing.T, url string) (*goose.Provider, *sql.DB) {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*cfg)
	t.Cleanup(func() { _ = db.Close() })
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS, goose.WithTableName("parley_migrations"))
	if err != nil {
		t.Fatal(err)
	}
	return provider, db
}

// A release that has to be taken back goes down and later up again.
func TestDownAndUpFromEachVersion(t *testing.T) {
	t.Parallel()
	url := storetest.NewEmptyDatabase(t)
	provider, _ := schemaOf(t, url)
	// What each version looks like on the way up.
	versions := provider.ListSources()
	looks := make([][]string, len(versions))
	for i, v := range versions {
		looks[i] = schema(t, url)
		if _, err := provider.UpTo(t.Context(), v.Version); err != nil {
			t.Fatal(err)
		}
	}
	newest := schema(t, url)
	for i, v := range slices.Backward(versions) {
		if _, err := provider.DownTo(t.Context(), v.Version-1); err != nil {
			t.Fatalf("down below %d: %v", v.Version, err)
		}
		// Goose's own table comes with the first migration and stays.
		if have := schema(t, url); i > 0 && !slices.Equal(have, looks[i]) {
			t.Errorf("down below %d leaves %v, lacks %v", v.Version, without(have, looks[i]), without(looks[i], have))
		} else if i == 0 && slices.ContainsFunc(have, func(s string) bool { return !strings.Contains(s, "parley_migrations") }) {
			t.Errorf("all the way down leaves %v", have)
		}
		if _, err := store.Migrate(t.Context(), url); err != nil {
			t.Fatalf("up from below %d: %v", v.Version, err)
		}
		if have := schema(t, url); !slices.Equal(have, newest) {
			t.Errorf("up from below %d differs: %v, %v", v.Version, without(have, newest), without(newest, have))
		}
	}
}

// Where the owner may not create roles, the error says what somebody else has
// to run, and that is enough.
func TestMigrateWithoutCreateRole(t *testing.T) {
	t.Parallel()
	// Roles are the whole server's, so dropping them needs one of this test's own.
	admin := storetest.NewServer(t).URL()
	execAll(t, admin,
		"DROP OWNED BY parley_api, parley_worker, parley_backup",
		"DROP ROLE parley_api, parley_worker, parley_backup",
		"CREATE ROLE plain LOGIN NOCREATEROLE PASSWORD 'secret'",
		"GRANT plain TO parley",
		"CREATE DATABASE plain OWNER plain")
	plain, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	plain.User, plain.Path = url.UserPassword("plain", "secret"), "/plain"

	// Each migration that needs a role says so.
	for advised := 0; ; advised++ {
		_, err = store.Migrate(t.Context(), plain.String())
		if err == nil && advised > 0 {
			break
		}
		if err == nil || advised > 5 {
			t.Fatalf("migrated without the right to create roles, or never: %v", err)
		}
		words, sql, found := strings.Cut(err.Error(), "CREATE ROLE")
		if !found || !strings.Contains(words, "Let an administrator run") || !strings.Contains(words, "role plain may neither") {
			t.Fatalf("no advice in %v", err)
		}
		execAll(t, admin, "CREATE ROLE"+strings.TrimSuffix(sql[:strings.LastIndex(sql, ";")], ";"))
	}
	worksFor(t, plain.String())
}

// worksFor makes two tenants through a database whose owner may nothing but own
// it: each sees its own, and a worker both.
func worksFor(t *testing.T, url string) {
	t.Helper()
	db, err := store.Open(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i, name := range []string{"Acme", "Bakery"} {
		tenant, err := db.CreateTenant(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		id := events.ChannelID(uuid.NewString())
		if _, err := db.CreateChannel(t.Context(), events.Channel{
			ID: id, Tenant: tenant.ID, Transport: events.Telegram, Name: "Shop", Mode: events.Polling,
			WebhookPath: strings.Repeat(string(rune('a'+i)), 40), Sealed: []byte("s"),
		}, "", ""); err != nil {
			t.Fatal(err)
		}
		if own, err := db.Channels(t.Context(), tenant.ID); err != nil || len(own) != 1 || own[0].ID != id {
			t.Errorf("%s has %+v, %v", name, own, err)
		}
	}
	if all, err := db.AllChannels(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("a worker sees %+v, %v", all, err)
	}
}

// Roles that exist and may not be joined need the same advice.
func TestMigrateWithoutMembership(t *testing.T) {
	t.Parallel()
	admin := storetest.NewDatabase(t) // the roles exist with it
	role := "parley_test_" + strings.ToLower(rand.Text()[:12])
	password := rand.Text()
	execAll(t, admin, "CREATE ROLE "+role+" LOGIN NOCREATEROLE PASSWORD '"+password+"'")
	t.Cleanup(func() { execAll(t, admin, "DROP ROLE "+role) }) // after the database with its grants
	empty := storetest.NewEmptyDatabase(t)
	stranger, err := url.Parse(empty)
	if err != nil {
		t.Fatal(err)
	}
	execAll(t, empty, "GRANT CREATE ON SCHEMA public TO "+role)
	stranger.User = url.UserPassword(role, password)
	_, err = store.Migrate(t.Context(), stranger.String())
	if err == nil || !strings.Contains(err.Error(), "GRANT parley_api, parley_worker TO "+role) {
		t.Errorf("no advice in %v", err)
	}
}

// schema lists what there is in the schema public, with the text of what has one.
func schema(t *testing.T, url string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, _ := conn.Query(t.Context(), `
		SELECT c.relkind::text || ' ' || c.relname || ' ' || coalesce(c.relacl::text, '') || ' ' || coalesce(pg_get_indexdef(i.indexrelid), '')
		  FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace
		UNION ALL SELECT format('column %s.%s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod))
		  FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
		 WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped AND relkind = 'r'
		UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
		UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
		UNION ALL SELECT format('%s on %s', polname, polrelid::regclass) FROM pg_policy
		ORDER BY 1`)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// without is what of a is not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

func execAll(t *testing.T, url string, statements ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // used to clean up, too
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// A migration does not stand in front of others for long: while somebody holds a lock
// that it needs it gives up and comes again, and in between the others are served.
func TestMigrateGivesWay(t *testing.T) {
	t.Parallel()
	url := storetest.NewEmptyDatabase(t)
	if _, err := store.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	provider, db := schemaOf(t, url)
	// The migration of tenants changes that table; the others come with it.
	const tenants = 18
	if _, err := provider.DownTo(t.Context(), tenants-1); err != nil {
		t.Fatal(err)
	}
	holder, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.ExecContext(t.Context(), `LOCK TABLE tenants IN ACCESS SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := store.Migrate(t.Context(), url)
		done <- err
	}()
	waits := func(want bool) {
		t.Helper()
		for {
			var n int
			err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_locks WHERE relation = 'tenants'::regclass AND NOT granted`).Scan(&n)
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 == want {
				return
			}
			select {
			case err := <-done:
				t.Fatalf("it ended beside the lock: %v", err)
			default:
			}
		}
	}
	for range 2 { // it waits, gives up, and comes again
		waits(true)
		var n int
		// Behind the migration in the queue, and served all the same.
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM tenants`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		waits(false)
	}
	if err := holder.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	current, newest, err := store.SchemaVersion(t.Context(), url)
	if err != nil || current != newest {
		t.Errorf("version %d of %d, %v", current, newest, err)
	}
}
