package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"parley/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// The roles a session can act as; owner is the one it logged in with.
const (
	owner  = "owner"
	worker = "parley_worker"
	api    = "parley_api"
	backup = "parley_backup"
)

// SQLSTATEs the database refuses with.
const (
	stateNotNull   = "23502"
	stateForeign   = "23503"
	stateUnique    = "23505"
	stateCheck     = "23514"
	stateForbidden = "42501"
)

// session is one connection, logged in as the owner. Its methods end the test
// when they fail.
type session struct {
	t    testing.TB
	conn *pgx.Conn
}

// open connects to a new database of this test's own.
func open(t testing.TB) *session {
	t.Helper()
	return connect(t, storetest.NewDatabase(t))
}

func connect(t testing.TB, url string) *session {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return connectConfig(t, cfg)
}

func connectConfig(t testing.TB, cfg *pgx.ConnConfig) *session {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return &session{t: t, conn: conn}
}

// act takes a role and a tenant, "" being none, for this transaction or, outside
// of one, this session.
func (s *session) act(role, tenant string) {
	s.t.Helper()
	if role == owner {
		s.exec("RESET ROLE")
	} else {
		s.exec("SET ROLE " + role)
	}
	// Of words a session sees those that it looks for.
	s.exec("SELECT set_config('parley.tenant', $1, false), set_config('parley.query', 'seed', false)", tenant)
}

func (s *session) exec(sql string, args ...any) int64 {
	s.t.Helper()
	tag, err := s.conn.Exec(s.t.Context(), sql, args...)
	if err != nil {
		s.t.Fatalf("%s\n%s", describe(err), sql)
	}
	return tag.RowsAffected()
}

// undone runs f in a transaction and rolls it back, or in a savepoint of the
// transaction that is already there.
func (s *session) undone(f func()) {
	s.t.Helper()
	begin, end := "BEGIN", "ROLLBACK"
	if s.conn.PgConn().TxStatus() != 'I' {
		begin, end = "SAVEPOINT undone", "ROLLBACK TO undone; RELEASE undone"
	}
	s.exec(begin)
	defer func() { _, _ = s.conn.Exec(s.t.Context(), end) }() // what follows would fail if this did
	f()
}

// refusal is the database's answer.
type refusal struct{ constraint, message string }

// refused expects that sql fails with the SQLSTATE, at the latest when deferred
// constraints are checked, and leaves nothing behind.
func (s *session) refused(state, sql string, args ...any) (r refusal) {
	s.t.Helper()
	s.undone(func() {
		err := s.try(sql, args...)
		var pgErr *pgconn.PgError
		switch {
		case err == nil:
			s.t.Errorf("not refused: %s %v", sql, args)
		case !errors.As(err, &pgErr) || pgErr.Code != state:
			s.t.Errorf("refused with %s, expected %s: %s %v", describe(err), state, sql, args)
		default:
			r = refusal{pgErr.ConstraintName, pgErr.Message}
		}
	})
	return r
}

// try runs sql and checks the deferred constraints. A transaction is aborted
// when it fails.
func (s *session) try(sql string, args ...any) error {
	if _, err := s.conn.Exec(s.t.Context(), sql, args...); err != nil {
		return err
	}
	_, err := s.conn.Exec(s.t.Context(), "SET CONSTRAINTS ALL IMMEDIATE")
	return err
}

// query collects a one-column result.
func query[T any](s *session, sql string, args ...any) []T {
	s.t.Helper()
	rows, _ := s.conn.Query(s.t.Context(), sql, args...)
	list, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		s.t.Fatalf("%s\n%s", describe(err), sql)
	}
	return list
}

// one is query for exactly one row.
func one[T any](s *session, sql string, args ...any) T {
	s.t.Helper()
	list := query[T](s, sql, args...)
	if len(list) != 1 {
		s.t.Fatalf("%d rows instead of one: %s", len(list), sql)
	}
	return list[0]
}

func describe(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return fmt.Sprintf("%s %s (%s %s) %s", pgErr.Code, pgErr.Message, pgErr.TableName, pgErr.ConstraintName, pgErr.Hint)
	}
	return err.Error()
}
