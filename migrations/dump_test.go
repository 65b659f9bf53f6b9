package migrations_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"parley/store/storetest"
)

// A backup is made by an ordinary role: as the role parley_backup, which sees every tenant. A
// restored database is the same, though its keys were created in another order.
func TestDumpAndRestore(t *testing.T) {
	t.Parallel()
	from := storetest.NewDatabase(t)
	d := newDeletions(connect(t, from))
	d.s.act(owner, "")
	d.s.exec("INSERT INTO parley_partitions (partition, stream, stream_identity, base_seq, last_seq) VALUES (1, 's', 'i', 0, 7)")

	for name, restore := range map[string]func(t *testing.T, to string){
		"plain": func(t *testing.T, to string) {
			file := filepath.Join(t.TempDir(), "parley.sql")
			run(t, "pg_dump", "--role=parley_backup", "--enable-row-security", "--file", file, from)
			run(t, "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1", "--file", file, to)
		},
		"custom": func(t *testing.T, to string) {
			file := filepath.Join(t.TempDir(), "parley.dump")
			run(t, "pg_dump", "--role=parley_backup", "--enable-row-security", "--format=custom", "--file", file, from)
			run(t, "pg_restore", "--exit-on-error", "--dbname", to, file)
		},
	} {
		t.Run(name, func(t *testing.T) {
			to := storetest.NewEmptyDatabase(t)
			restore(t, to)
			restored := *d
			restored.s = connect(t, to)
			sameCensus(restored.s, d.whole, census(restored.s))
			restored.s.act(owner, "")
			if n := one[int](restored.s, "SELECT last_seq::int FROM parley_partitions"); n != 7 {
				t.Errorf("the ledger stands at %d, expected 7", n)
			}
			for _, complaint := range checkWalls(restored.s) {
				t.Error(complaint)
			}
			restored.s.undone(func() {
				for _, complaint := range checkContract(contractFacts(restored.s), readFacts(restored.s, "public", `crm\_%`), differences) {
					t.Error(complaint)
				}
			})
			restored.all()
			// Sequences go on where they were.
			seedClient(restored.s, restored.w, "+4912")
		})
	}
}

// run runs one of PostgreSQL's programs.
func run(t *testing.T, program string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), find(t, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %s\n%s", program, err, out)
	}
}

// find looks for a program where the server's are, for pg_dump refuses a server
// newer than itself: where postgres on the PATH leads, then on the PATH, then
// where packagers put them.
func find(t *testing.T, program string) string {
	t.Helper()
	var paths []string
	if server, err := exec.LookPath("postgres"); err == nil {
		if server, err = filepath.EvalSymlinks(server); err == nil {
			paths = append(paths, filepath.Join(filepath.Dir(server), program))
		}
	}
	paths = append(paths, program)
	for _, dirs := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*",
		"/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin", "/usr/local/pgsql*/bin",
	} {
		found, _ := filepath.Glob(filepath.Join(dirs, program)) // the patterns are constants, they parse
		slices.Reverse(found)                                   // the newest first
		paths = append(paths, found...)
	}
	for _, path := range paths {
		if path, err := exec.LookPath(path); err == nil {
			return path
		}
	}
	t.Fatalf("%s is neither on the PATH nor where packages put it", program)
	return ""
}
