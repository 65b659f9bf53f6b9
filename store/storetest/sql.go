package storetest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Exec runs a statement as a worker, who sees every tenant: what a person with
// psql could do. It returns how many rows it touched.
func Exec(t testing.TB, url, sql string, args ...any) int64 {
	t.Helper()
	var n int64
	asWorker(t, url, func(ctx context.Context, conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, sql, args...)
		n = tag.RowsAffected()
		return err
	})
	return n
}

// Int reads one number as a worker.
func Int(t testing.TB, url, sql string, args ...any) int64 {
	t.Helper()
	var n int64
	asWorker(t, url, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, sql, args...).Scan(&n)
	})
	return n
}

// Text reads one text as a worker.
func Text(t testing.TB, url, sql string, args ...any) string {
	t.Helper()
	var s string
	asWorker(t, url, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, sql, args...).Scan(&s)
	})
	return s
}

func asWorker(t testing.TB, url string, f func(context.Context, *pgx.Conn) error) {
	t.Helper()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	defer closeConn(conn)
	if _, err := conn.Exec(ctx, "SET ROLE parley_worker"); err != nil {
		t.Fatal("storetest: ", err)
	}
	if err := f(ctx, conn); err != nil {
		t.Fatal("storetest: ", err)
	}
}

// ExecAsOwner runs statements as the owner of the tables, whom their walls bind.
func ExecAsOwner(t testing.TB, url string, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if err := execute(url, sql); err != nil {
			t.Fatalf("storetest: %s: %v", sql, err)
		}
	}
}
