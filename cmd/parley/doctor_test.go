package main

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"parley/inbox"
	"parley/store/storetest"
)

// visit asks the doctor and returns what it found, and whether it exited well.
func visit(t *testing.T, dir string, args ...string) (found []finding, healthy bool) {
	t.Helper()
	cmd := command(t, dir, append([]string{"doctor", "--json"}, args...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("doctor: %v\n%s", err, out)
	}
	var report struct {
		Findings []finding
		Healthy  bool
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if report.Healthy != (err == nil) {
		t.Errorf("it says healthy: %t, and exits with %v", report.Healthy, err)
	}
	return report.Findings, report.Healthy
}

// finds wants a check to have ended in a state, with these words.
func finds(t *testing.T, found []finding, check, state, words string) {
	t.Helper()
	for _, f := range found {
		if f.Check == check && f.State == state && strings.Contains(f.Words, words) {
			if state == checkBroken && f.Do == "" {
				t.Errorf("%s does not say what to do: %s", check, f.Words)
			}
			return
		}
	}
	t.Errorf("%s is not %s for %q: %+v", check, state, words, found)
}

func TestDoctorOfARunningServer(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	_, address := startTelegram(t)
	p := start(t, Config{DataDir: dir})
	p.connect(t, address)
	found, healthy := visit(t, dir)
	if !healthy {
		t.Errorf("it is not healthy: %+v", found)
	}
	finds(t, found, "server", checkOK, "is ready")
	finds(t, found, "PostgreSQL", checkOK, "schema")
	finds(t, found, "NATS", checkOK, "streams")
	finds(t, found, "clock", checkOK, "ahead")
	finds(t, found, "channels", checkOK, "1 channel")

	if err := os.Chmod(filepath.Join(dir, keyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	found, _ = visit(t, dir)
	finds(t, found, "secret key", checkBroken, "Other users may read")
	if out := parleyOutput(t, dir, "doctor"); !strings.Contains(out, "chmod 600") || !strings.Contains(out, "1 broken") {
		t.Errorf("it says %s", out)
	}
}

// parleyOutput is a command's output, whatever its exit.
func parleyOutput(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, _ := parleyFails(t, dir, args...)
	return out
}

func TestDoctorFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	// A port on which nothing listens.
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	_ = free.Close()

	found, _ := visit(t, dir, "--listen", taken.Addr().String(), "--public-url", "inbox", "--trusted-proxies", "everybody",
		"--database-url", "postgres://parley@"+nobody+"/parley?sslmode=disable", "--nats-url", "nats://user:hidden@"+nobody)
	finds(t, found, "data folder", checkBroken, "Other users may write")
	finds(t, found, "ports", checkBroken, "cannot be listened on")
	finds(t, found, "configuration", checkBroken, "not a public URL")
	finds(t, found, "configuration", checkBroken, "everybody")
	finds(t, found, "secret key", checkBroken, "needs a secret key")
	finds(t, found, "PostgreSQL", checkBroken, "reaching the database")
	finds(t, found, "NATS", checkBroken, "connect to NATS")
	finds(t, found, "channels", checkSkipped, "does not run")
	for _, f := range found {
		if strings.Contains(f.Words+f.Do, "hidden") {
			t.Errorf("a password is shown: %+v", f)
		}
	}
}

func TestDoctorFindsABrokenDatabase(t *testing.T) {
	t.Parallel()
	server := storetest.NewServer(t)
	conn, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(inbox.NewKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	look := func() []finding {
		found, _ := visit(t, dataFolder(t), "--listen", "127.0.0.1:0", "--api-listen", "", "--database-url", server.URL(), "--secret-key-file", key)
		return found
	}
	finds(t, look(), "secret key", checkOK, "")
	for _, broken := range []struct{ sql, undo, state, words string }{
		{"ALTER TABLE crm_clients NO FORCE ROW LEVEL SECURITY", "ALTER TABLE crm_clients FORCE ROW LEVEL SECURITY", checkBroken, "not forced on crm_clients"},
		{"INSERT INTO parley_migrations (version_id, is_applied) VALUES (99999, true)", "DELETE FROM parley_migrations WHERE version_id = 99999", checkBroken, "version 99999, newer"},
		{"DELETE FROM parley_migrations WHERE version_id > 1", "", checkWarning, "has version 1, this program needs"},
	} {
		if _, err := conn.Exec(t.Context(), broken.sql); err != nil {
			t.Fatal(err)
		}
		finds(t, look(), "PostgreSQL", broken.state, broken.words)
		if _, err := conn.Exec(t.Context(), broken.undo); broken.undo != "" && err != nil {
			t.Fatal(err)
		}
	}
}

// TestDoctorOfThePublicURL asks through proxies that pass requests on, and that do
// not.
func TestDoctorOfThePublicURL(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	p := start(t, Config{DataDir: dir})
	here, err := url.Parse("http://" + p.Listen)
	if err != nil {
		t.Fatal(err)
	}
	good := httptest.NewServer(httputil.NewSingleHostReverseProxy(here))
	defer good.Close()
	// Passes webhooks on, and answers files itself.
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/media/") {
			_, _ = w.Write([]byte("Welcome to nginx!"))
			return
		}
		httputil.NewSingleHostReverseProxy(here).ServeHTTP(w, r)
	}))
	defer other.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for address, want := range map[string][2]string{
		good.URL:  {checkOK, "arrive here"},
		other.URL: {checkBroken, "somebody else answers (200 OK)"},
		gone.URL:  {checkWarning, "cannot be reached"},
	} {
		found, _ := visit(t, dir, "--public-url", address)
		finds(t, found, "public URL", want[0], want[1])
		for _, f := range found {
			if strings.Contains(f.Words+f.Do, "/media/ey") {
				t.Errorf("the link is shown: %+v", f)
			}
		}
	}
	found, _ := visit(t, dir, "--bus-room", "64MiB")
	finds(t, found, "public URL", checkSkipped, "None is given")
	finds(t, found, "bus room", checkOK, "The bus may take")
	found, _ = visit(t, dir, "--bus-room", "900TiB")
	finds(t, found, "bus room", checkWarning, "1.1 PiB with its facts")
	found, _ = visit(t, dataFolder(t), "--public-url", good.URL)
	finds(t, found, "public URL", checkSkipped, "No server with the role gateway")
}

// TestDoctorOfFiles tries a store of files that works and one that does not.
func TestDoctorOfFiles(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	good := filepath.Join(t.TempDir(), "files")
	if err := os.Mkdir(good, 0o700); err != nil {
		t.Fatal(err)
	}
	found, _ := visit(t, dir, "--blob-url", "file://"+good, "--listen", "127.0.0.1:0", "--api-listen", "")
	finds(t, found, "files", checkOK, "can be stored")
	var left []string
	_ = filepath.WalkDir(good, func(path string, e os.DirEntry, _ error) error {
		if e != nil && !e.IsDir() {
			left = append(left, path)
		}
		return nil
	})
	for _, path := range left {
		if strings.Contains(path, "probe") {
			t.Errorf("it left %s behind", path)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	found, healthy := visit(t, dir, "--blob-url", "file://"+file, "--listen", "127.0.0.1:0", "--api-listen", "")
	if healthy {
		t.Error("files cannot be stored, and it is healthy")
	}
	finds(t, found, "files", checkBroken, "")
}
