package migrations_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"parley/store/localpg"
	"parley/store/storetest"
)

// A backup is made by an ordinary role: as the worker, who sees every tenant. A
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
			run(t, "pg_dump", "--role=parley_worker", "--enable-row-security", "--file", file, from)
			run(t, "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1", "--file", file, to)
		},
		"custom": func(t *testing.T, to string) {
			file := filepath.Join(t.TempDir(), "parley.dump")
			run(t, "pg_dump", "--role=parley_worker", "--enable-row-security", "--format=custom", "--file", file, from)
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
	//nolint:gosec // programs and arguments of this test
	out, err := exec.CommandContext(t.Context(), find(t, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %s\n%s", program, err, out)
	}
}

// find looks for a program beside the server's, or where a link to the server
// leads, for pg_dump refuses a server newer than itself; then on the PATH.
func find(t *testing.T, program string) string {
	t.Helper()
	install, err := localpg.Find(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	dirs := []string{install.BinDir}
	if server, err := filepath.EvalSymlinks(filepath.Join(install.BinDir, "postgres")); err == nil {
		dirs = append(dirs, filepath.Dir(server))
	}
	for _, dir := range dirs {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path
		}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
