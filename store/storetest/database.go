package storetest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"parley/migrations"
	"parley/store"
)

// NewDatabase makes a database with Parley's schema for this test alone and returns its
// URL. It is dropped when the test ends, whoever is still connected.
func NewDatabase(t testing.TB) string {
	t.Helper()
	server, err := sharedURL()
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	template, err := ensureTemplate(server)
	if err != nil {
		t.Fatal("storetest: making the template database: ", err)
	}
	return create(t, server, template)
}

// NewEmptyDatabase is NewDatabase without the schema, for tests of the migrations.
func NewEmptyDatabase(t testing.TB) string {
	t.Helper()
	server, err := sharedURL()
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	return create(t, server, "template1")
}

func create(t testing.TB, server, template string) string {
	t.Helper()
	name := "parley_test_" + strings.ToLower(rand.Text()[:12])
	// Copying files takes 30 ms where fsync is off, logging their content ten times that.
	if err := execute(server, fmt.Sprintf(`CREATE DATABASE %s TEMPLATE %s STRATEGY FILE_COPY`,
		name, template)); err != nil {
		t.Fatal("storetest: making a database: ", err)
	}
	t.Cleanup(func() {
		if err := drop(server, name); err != nil {
			t.Error("storetest: dropping the database: ", err)
		}
	})
	return withDatabase(server, name)
}

// drop drops a database and ends the sessions that are still in it.
func drop(server, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	// Sessions that the test has just closed are gone within a millisecond or two. DROP
	// DATABASE, finding one, looks again only after a hundred.
	for range 20 {
		var sessions int
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity, pg_sleep(0.001)
			WHERE datname = $1`, name).Scan(&sessions); err != nil {
			return err
		}
		if sessions == 0 {
			break
		}
	}
	_, err = conn.Exec(ctx, fmt.Sprintf(`DROP DATABASE %s WITH (FORCE)`, name))
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42501" {
		// One of the sessions is autovacuum's, which only a superuser may end so.
		// Without FORCE it is asked to go.
		_, err = conn.Exec(ctx, fmt.Sprintf(`DROP DATABASE %s`, name))
	}
	return err
}

// templates remembers the templates this process has seen finished.
var templates struct {
	sync.Mutex
	names map[string]string // by server URL
}

// ensureTemplate makes the migrated database that others are cloned from, once per
// server and set of migrations, however many test processes ask.
func ensureTemplate(server string) (string, error) {
	templates.Lock()
	defer templates.Unlock()
	if name, ok := templates.names[server]; ok {
		return name, nil
	}
	hash, err := migrationsHash()
	if err != nil {
		return "", err
	}
	name := "parley_template_" + hash
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", err
	}
	defer closeConn(conn) // and with it the lock
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(hashtext('parley_template'))`); err != nil {
		return "", err
	}
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`,
		name).Scan(&exists); err != nil {
		return "", err
	}
	if !exists {
		if err := makeTemplate(ctx, conn, server, name); err != nil {
			return "", err
		}
	}
	if templates.names == nil {
		templates.names = map[string]string{}
	}
	templates.names[server] = name
	return name, nil
}

// makeTemplate migrates under another name, so that a template that exists is complete.
func makeTemplate(ctx context.Context, conn *pgx.Conn, server, name string) error {
	unfinished := name + "_new"
	for _, sql := range []string{
		fmt.Sprintf(`DROP DATABASE IF EXISTS %s WITH (FORCE)`, unfinished),
		fmt.Sprintf(`CREATE DATABASE %s`, unfinished),
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if _, err := store.Migrate(ctx, withDatabase(server, unfinished)); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, fmt.Sprintf(`ALTER DATABASE %s RENAME TO %s`, unfinished, name))
	return err
}

// migrationsHash changes with every change of a migration's name or text.
func migrationsHash() (string, error) {
	h := sha256.New()
	err := fs.WalkDir(migrations.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(migrations.FS, path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(b), b)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

// execute runs one statement on a connection of its own.
func execute(url, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	_, err = conn.Exec(ctx, sql)
	return err
}

func withDatabase(server, name string) string {
	u, err := url.Parse(server)
	if err != nil {
		panic(err) // checkURL or localpg has parsed it before
	}
	u.Path = "/" + name
	return u.String()
}
