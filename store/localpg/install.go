package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// MinMajor is the oldest PostgreSQL that Parley works with: its foreign keys need
// ON DELETE SET NULL with a column list, which came with 15.
const MinMajor = 15

// ErrNotInstalled is returned when no usable PostgreSQL was found.
var ErrNotInstalled = errors.New("no usable PostgreSQL on this machine")

// Install is a set of PostgreSQL programs in one folder.
type Install struct {
	BinDir  string // holds at least initdb and postgres
	Version string // as the server names itself: "15.12", "17beta1"
	Major   int    // 15, 17
}

func (i Install) bin(name string) string { return filepath.Join(i.BinDir, name) }

// Program is where one of PostgreSQL's programs for clients is, such as pg_dump: beside
// the server's, beside what they are links to, or else on the PATH. An error wraps
// ErrNotInstalled.
func (i Install) Program(name string) (string, error) {
	paths := []string{i.bin(name)}
	if server, err := filepath.EvalSymlinks(i.bin("postgres")); err == nil {
		paths = append(paths, filepath.Join(filepath.Dir(server), name))
	}
	for _, path := range append(paths, name) {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%w: %s is neither in %s nor on the PATH", ErrNotInstalled, name, i.BinDir)
}

// installGlobs are where packagers put the server programs when they are not on the
// PATH: Debian and Ubuntu, the PGDG packages of Fedora and RHEL, Alpine, Homebrew on
// Apple silicon and on Intel, builds from source.
var installGlobs = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/libexec/postgresql*",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/usr/local/pgsql*/bin",
	"/usr/local/bin",
}

// Find looks for PostgreSQL's server programs: in binDir alone when given, else on
// the PATH, where pg_config points, and where packagers put them. Of several it takes
// the first on the PATH, else the newest. A major of more than zero asks for exactly
// that one, because a cluster is tied to the version that made it.
func Find(ctx context.Context, binDir string, major int) (Install, error) {
	dirs := []string{binDir}
	if binDir == "" {
		dirs = candidates(ctx)
	}
	var (
		found, seen []Install
		broken      error
	)
	for _, dir := range dirs {
		in, err := inspect(ctx, dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil { // a broken install must not hide a good one further on
			broken = errors.Join(broken, err)
			continue
		}
		seen = append(seen, in)
		if in.Major >= MinMajor && (major == 0 || in.Major == major) {
			found = append(found, in)
		}
	}
	if len(found) > 0 {
		return preferred(found), nil
	}
	return Install{}, errors.Join(
		fmt.Errorf("%w: %s", ErrNotInstalled, advice(binDir, seen, major)), broken)
}

// preferred is the one on the PATH, which somebody chose, else the newest.
func preferred(found []Install) Install {
	for _, in := range found {
		if slices.Contains(filepath.SplitList(os.Getenv("PATH")), in.BinDir) {
			return in
		}
	}
	return slices.MaxFunc(found, func(a, b Install) int { return a.Major - b.Major })
}

func advice(binDir string, seen []Install, major int) string {
	var have []string
	for _, in := range seen {
		have = append(have, in.Version+" in "+in.BinDir)
	}
	what := "found none"
	if binDir != "" {
		what = "found none in " + binDir
	}
	if len(have) > 0 {
		what = "found only " + strings.Join(have, ", ")
	}
	if major > 0 {
		return fmt.Sprintf("the data was made by version %d, but %s; install version %d, "+
			"or dump with it and restore into a new data folder", major, what, major)
	}
	return fmt.Sprintf("version %d or later is needed, %s; `make postgres` installs it, "+
		"or point Parley to a database of your own", MinMajor, what)
}

func candidates(ctx context.Context) []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	// A pg_config without server programs beside it (libpq-dev) is as common as none:
	// what it says is one more place to look, no more.
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, g := range installGlobs {
		m, _ := filepath.Glob(g) // the patterns are constants, they parse
		dirs = append(dirs, m...)
	}
	var unique []string
	for _, d := range dirs {
		// A relative entry on the PATH would be run from another folder later.
		if filepath.IsAbs(d) && !slices.Contains(unique, filepath.Clean(d)) {
			unique = append(unique, filepath.Clean(d))
		}
	}
	return unique
}

// inspect says what dir holds; os.ErrNotExist when it lacks the server programs.
func inspect(ctx context.Context, dir string) (Install, error) {
	in := Install{BinDir: dir}
	for _, name := range []string{"initdb", "postgres"} {
		st, err := os.Stat(in.bin(name))
		if err != nil || st.IsDir() {
			return Install{}, os.ErrNotExist
		}
	}
	out, err := exec.CommandContext(ctx, in.bin("postgres"), "--version").Output() //nolint:gosec // a program of a folder that is searched on purpose
	if err != nil {
		return Install{}, fmt.Errorf("asking %s for its version: %w", in.bin("postgres"), err)
	}
	in.Version, in.Major, err = parseVersion(string(out))
	if err != nil {
		return Install{}, fmt.Errorf("%s: %w", in.bin("postgres"), err)
	}
	return in, nil
}

var versionRE = regexp.MustCompile(`\(PostgreSQL\) ((\d+)[.\w]*)`)

// parseVersion reads the answer to postgres --version, for example
// "postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)" or "postgres (PostgreSQL) 18beta1".
func parseVersion(out string) (version string, major int, err error) {
	m := versionRE.FindStringSubmatch(out)
	if m == nil {
		return "", 0, fmt.Errorf("cannot read a version from %q", out)
	}
	if major, err = strconv.Atoi(m[2]); err != nil {
		return "", 0, fmt.Errorf("cannot read a version from %q: %w", out, err)
	}
	return m[1], major, nil
}
