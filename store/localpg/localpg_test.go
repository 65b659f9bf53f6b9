package localpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/store/storetest/scratch"
)

// childDir, when set, makes the test program a stand-in for a Parley that is killed:
// it starts a server in the folder, says its process id and waits for the end.
const childDir = "PARLEY_LOCALPG_TEST_CHILD"

// childOrphan makes it one on a system without a parent-death signal.
const childOrphan = "PARLEY_LOCALPG_TEST_ORPHAN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		s, err := Start(context.Background(), Options{
			DataDir: dir, UnsafeLoseDataOnPowerFailure: true, orphan: os.Getenv(childOrphan) != "",
		})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready", s.PID())
		<-s.Done()
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// dataDir is a fresh data folder.
func dataDir(t *testing.T) string {
	t.Helper()
	parent, err := scratch.Dir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "pg")
	t.Cleanup(func() {
		if err := Remove(context.Background(), dir); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(parent); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fast is for tests that make clusters by the dozen: waiting for the disk is most of
// their time, and the power does not fail in them.
func fast(dir string) Options {
	return Options{DataDir: dir, UnsafeLoseDataOnPowerFailure: true}
}

func start(t *testing.T, opts Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func connect(t *testing.T, s *Server) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func exec1(t *testing.T, s *Server, sql string) {
	t.Helper()
	if _, err := connect(t, s).Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func query1[T any](t *testing.T, s *Server, sql string) (v T) {
	t.Helper()
	if err := connect(t, s).QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRestartKeepsData(t *testing.T) {
	t.Parallel()
	opts := Options{DataDir: dataDir(t)}
	s := start(t, opts)
	exec1(t, s, `CREATE TABLE kept AS SELECT 42 AS n`)
	idle := connect(t, s) // an open session must not hold up a stop
	stop(t, s)
	if err := idle.Ping(t.Context()); err == nil {
		t.Error("a session outlived the server")
	}
	select {
	case <-s.Done():
	default:
		t.Error("Done is open after Stop")
	}
	if err := s.Err(); err != nil {
		t.Errorf("Err after Stop: %v", err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("second Stop: %v", err)
	}
	if got := query1[int](t, start(t, opts), `SELECT n FROM kept`); got != 42 {
		t.Errorf("after the restart the table holds %d", got)
	}
}

func TestRoleAndSettings(t *testing.T) {
	t.Parallel()
	s := start(t, Options{DataDir: dataDir(t), Settings: map[string]string{
		"application_name": "it's set",
		"fsync":            "off", // must not win
	}})
	for sql, want := range map[string]string{
		`SELECT current_user`:                    Role,
		`SELECT current_database()`:              Database,
		`SELECT current_setting('is_superuser')`: "off",
		`SELECT concat_ws(' ', rolsuper, rolbypassrls, rolreplication, rolcreatedb, rolcreaterole)
			FROM pg_roles WHERE rolname = current_user`: "f f f t t",
		`SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()`:       Role,
		`SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()`: "UTF8",
		`SELECT current_setting('fsync')`:                                      "on",
		`SELECT current_setting('full_page_writes')`:                           "on",
		`SELECT current_setting('data_checksums')`:                             "on",
		`SELECT current_setting('listen_addresses')`:                           "",
		`SELECT current_setting('synchronous_commit')`:                         "on",
		`SELECT reset_val FROM pg_settings WHERE name = 'application_name'`:    "it's set",
		`SELECT lower('ÄÖÜ ДОМ')`:                                              "äöü дом",
		`SELECT to_tsvector('simple', 'Дом')::text`:                            "'дом':1",
		`SELECT string_agg(x, '' ORDER BY x) FROM unnest('{b,a,B}'::text[]) x`: "Bab",
	} {
		if got := query1[string](t, s, sql); got != want {
			t.Errorf("%s = %q, want %q", sql, got, want)
		}
	}
	if strings.Contains(s.URL(), mustPassword(t, s)) {
		t.Error("the URL holds the password")
	}
}

func mustPassword(t *testing.T, s *Server) string {
	t.Helper()
	p, err := s.folder.readPassword()
	if err != nil || p == "" {
		t.Fatalf("reading the password: %q, %v", p, err)
	}
	return p
}

func TestSocketAloneIsNotEnough(t *testing.T) {
	t.Parallel()
	s := start(t, fast(dataDir(t)))
	st, err := os.Stat(s.folder.socketDir)
	if err != nil {
		t.Fatal(err)
	}
	if perm := st.Mode().Perm(); perm != 0o700 {
		t.Errorf("the socket's folder has mode %o", perm)
	}
	for _, user := range []string{Role, superuser} {
		u := fmt.Sprintf("postgres://%s:wrong@/%s?host=%s&port=%s&sslmode=disable", user, Database, s.folder.socketDir, port)
		c, err := pgx.Connect(t.Context(), u)
		if err == nil && user == Role {
			t.Error("logged in with a wrong password")
		}
		if err == nil {
			_ = c.Close(t.Context())
		}
	}
	st, err = os.Stat(filepath.Join(s.folder.path, passFile))
	if err != nil {
		t.Fatal(err)
	}
	if perm := st.Mode().Perm(); perm != 0o600 {
		t.Errorf("the password file has mode %o", perm)
	}
}

func TestLongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(filepath.Dir(dataDir(t)), strings.Repeat("long", 25))
	t.Cleanup(func() {
		if err := Remove(context.Background(), dir); err != nil {
			t.Error(err)
		}
	})
	s := start(t, fast(dir))
	if got := query1[int](t, s, `SELECT 1`); got != 1 {
		t.Error(got)
	}
	socket := s.folder.socketDir
	stop(t, s)
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left after Stop: %v", socket, err)
	}
}

func TestSecondStartIsRefused(t *testing.T) {
	t.Parallel()
	opts := fast(dataDir(t))
	s := start(t, opts)
	_, err := Start(t.Context(), opts)
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("second start: %v, want ErrInUse", err)
	}
	if !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("%q does not say which process holds the folder", err)
	}
	if err := Remove(t.Context(), opts.DataDir); !errors.Is(err, ErrInUse) {
		t.Errorf("removing a folder in use: %v, want ErrInUse", err)
	}
	if got := query1[int](t, s, `SELECT 1`); got != 1 {
		t.Error("the first server suffered")
	}
}

// killedParley starts a server in another process, kills that process, and returns
// the process id of the server.
func killedParley(t *testing.T, dir string, orphan bool) (pid int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	if orphan {
		cmd.Env = append(cmd.Env, childOrphan+"=1")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, err := fmt.Sscanf(line, "ready %d", &pid); err != nil {
		t.Fatalf("the other process says %q", line)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the killed process ended well")
	}
	return pid
}

func TestServerLeftByKilledParley(t *testing.T) {
	t.Parallel()
	opts := fast(dataDir(t))
	s := start(t, opts)
	exec1(t, s, `CREATE TABLE kept AS SELECT 42 AS n`)
	stop(t, s)

	pid := killedParley(t, opts.DataDir, true)
	if !runsIn(t.Context(), pid, s.folder.clusterPath()) {
		t.Fatal("the server did not survive its parent: this test tests nothing")
	}
	s = start(t, opts)
	if runsIn(t.Context(), pid, s.folder.clusterPath()) {
		t.Error("the server that was left still runs")
	}
	if got := query1[int](t, s, `SELECT n FROM kept`); got != 42 {
		t.Errorf("the table holds %d", got)
	}
}

func TestServerEndsWithKilledParley(t *testing.T) {
	t.Parallel()
	attr := &syscall.SysProcAttr{}
	if dieWithParent(attr); reflect.ValueOf(*attr).IsZero() {
		return // nothing is promised on this system
	}
	dir := dataDir(t)
	pid := killedParley(t, dir, false)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if !poll(ctx, func() bool { return !runsIn(ctx, pid, filepath.Join(dir, clusterDir)) }) {
		t.Error("the server outlived the process that started it")
	}
}

func TestKilledServer(t *testing.T) {
	t.Parallel()
	opts := fast(dataDir(t))
	s := start(t, opts)
	exec1(t, s, `CREATE TABLE kept AS SELECT 42 AS n`)
	if err := s.Err(); err != nil {
		t.Errorf("Err of a running server: %v", err)
	}
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("Done does not tell that the server died")
	}
	if s.Err() == nil {
		t.Error("Err does not say why")
	}
	stop(t, s)
	s = start(t, opts)
	if got := query1[int](t, s, `SELECT n FROM kept`); got != 42 {
		t.Errorf("the table holds %d", got)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if got := query1[int](t, start(t, opts), `SELECT n FROM kept`); got != 42 {
		t.Errorf("after Kill the table holds %d", got)
	}
}

func TestStalePIDFile(t *testing.T) {
	t.Parallel()
	opts := fast(dataDir(t))
	s := start(t, opts)
	stop(t, s)
	// A live process of the server's user, so that only a look at what it does tells
	// it from a postmaster.
	stranger := s.folder.command(t.Context(), s.install, "postgres", "--single", "-D", filepath.Dir(opts.DataDir))
	stranger.Path, stranger.Args = "/bin/sh", []string{"sh", "-c", "echo; read x"}
	in, err := stranger.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = stranger.Wait() })

	ended := exec.CommandContext(t.Context(), "true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	for name, first := range map[string]string{
		"reused": strconv.Itoa(stranger.Process.Pid),
		"own":    strconv.Itoa(os.Getpid()),
		"ended":  strconv.Itoa(ended.Process.Pid),
		"empty":  "",
		"broken": "\x00\x00\x00",
	} {
		content := first
		if name != "empty" && name != "broken" {
			content += "\n" + s.folder.clusterPath() + "\n1700000000\n5432\n/nowhere\n\n  5432001   4711\nready   \n"
		}
		path := filepath.Join(s.folder.clusterPath(), pidFile)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(path, s.folder.server.uid, s.folder.server.gid); err != nil {
			t.Fatal(err)
		}
		again, err := Start(t.Context(), opts)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		stop(t, again)
	}
}

func TestLostPasswordFile(t *testing.T) {
	t.Parallel()
	opts := fast(dataDir(t))
	s := start(t, opts)
	before := mustPassword(t, s)
	stop(t, s)
	if err := os.Remove(filepath.Join(opts.DataDir, passFile)); err != nil {
		t.Fatal(err)
	}
	s = start(t, opts)
	if query1[int](t, s, `SELECT 1`) != 1 || mustPassword(t, s) == before {
		t.Error("the password is the lost one")
	}
}

func TestFailedStartQuotesLog(t *testing.T) {
	t.Parallel()
	opts := fast(dataDir(t))
	opts.Settings = map[string]string{"no_such_setting": "1"}
	_, err := Start(t.Context(), opts)
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Fatalf("%v does not quote the server's log", err)
	}
	// The folder is free and the cluster whole.
	opts.Settings = nil
	start(t, opts)
}

func TestCancelledStart(t *testing.T) {
	t.Parallel()
	opts := fast(dataDir(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want context.Canceled", err)
	}
	start(t, opts)
}

func TestFolderOutOfReach(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // who runs as themselves enters their own folders
	}
	parent := filepath.Dir(dataDir(t))
	closed := filepath.Join(parent, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{DataDir: filepath.Join(closed, "pg")})
	if err == nil || !strings.Contains(err.Error(), "chmod o+x "+closed) {
		t.Fatalf("%v does not say which folder is closed and what to do", err)
	}
}
