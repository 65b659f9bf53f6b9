// Package storetest gives tests a real PostgreSQL: an own database per test, cloned
// from a migrated template, and servers that a test may stop and kill.
//
// A package whose tests need it says so once:
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
// The first call of NewDatabase then starts one private server for the test process
// (package localpg), which ends with it. Tests run as the role parley, which row
// security binds, as in production.
//
// To use a server of your own, set PARLEY_TEST_DATABASE_URL to a postgres:// URL whose
// role is no superuser and has CREATEDB and CREATEROLE. Databases made there are dropped
// by the tests; the template, parley_template_<hash of the migrations>, stays for the
// next run.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/store/localpg"
	"parley/store/storetest/scratch"
)

// EnvURL names the environment variable with the URL of a server to use instead of a
// private one.
const EnvURL = "PARLEY_TEST_DATABASE_URL"

// shared is the one server of this test process.
var shared struct {
	mu     sync.Mutex
	inMain bool
	url    string // empty until the first test needs it
	err    error
	server *localpg.Server
	dir    string
}

// Main runs the tests of a package, then ends the server if one was started, and exits.
// An interrupt ends it, too. What a crash leaves is swept away by a later run.
func Main(m *testing.M) {
	os.Exit(Run(m))
}

// Run is Main without the exit, for those who have more to end than the server.
func Run(m interface{ Run() int }) int {
	shared.mu.Lock()
	shared.inMain = true
	shared.mu.Unlock()

	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		_ = closeShared() // the run has failed anyway
		os.Exit(130)
	}()
	code := m.Run()
	if err := closeShared(); err != nil {
		fmt.Fprintln(os.Stderr, "storetest:", err)
		return max(code, 1)
	}
	return code
}

// sharedURL is the URL of the process's server, started when this is the first call.
func sharedURL() (string, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.url == "" && shared.err == nil {
		shared.url, shared.err = openShared()
	}
	return shared.url, shared.err
}

func openShared() (string, error) {
	if u := os.Getenv(EnvURL); u != "" {
		return u, checkURL(u)
	}
	if !shared.inMain {
		return "", errors.New("nobody would end the server: call storetest.Main from TestMain")
	}
	sweep()
	dir, err := scratch.Dir()
	if err != nil {
		return "", err
	}
	shared.dir = dir
	// Not bound to the test that happens to come first.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	shared.server, err = localpg.Start(ctx, serverOptions(dir))
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return shared.server.URL(), nil
}

func serverOptions(dir string) localpg.Options {
	return localpg.Options{
		DataDir:                      dataDir(dir),
		UnsafeLoseDataOnPowerFailure: true,
		Settings: map[string]string{
			"max_connections": "300", // parallel tests, each with its pools
			"shared_buffers":  "128MB",
			"max_wal_size":    "256MB", // the data may be in memory
		},
	}
}

// checkURL refuses a role that row security does not bind: the tests would prove nothing.
func checkURL(raw string) error {
	if u, err := url.Parse(raw); err != nil || u.Scheme == "" {
		return fmt.Errorf("%s is not a postgres:// URL", EnvURL)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, raw)
	if err != nil {
		return fmt.Errorf("%s: %w", EnvURL, err)
	}
	defer closeConn(conn)
	var tooMuch, tooLittle bool
	err = conn.QueryRow(ctx, `SELECT rolsuper OR rolbypassrls, NOT (rolcreatedb AND rolcreaterole)
		FROM pg_roles WHERE rolname = current_user`).Scan(&tooMuch, &tooLittle)
	switch {
	case err != nil:
		return err
	case tooMuch:
		return fmt.Errorf("the role of %s bypasses row security, so the tests would prove nothing; "+
			"use one that is NOSUPERUSER NOBYPASSRLS", EnvURL)
	case tooLittle:
		return fmt.Errorf("the role of %s needs CREATEDB and CREATEROLE", EnvURL)
	}
	return nil
}

func closeShared() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		return nil
	}
	// What is in it is thrown away, so nothing is lost by not asking politely.
	err := errors.Join(shared.server.Kill(), os.RemoveAll(shared.dir))
	shared.server, shared.url = nil, ""
	shared.err = errors.New("the tests are over")
	return err
}

func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing is lost with the connection
}
