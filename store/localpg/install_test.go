package localpg

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]struct {
		version string
		major   int
	}{
		"postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)\n": {"15.12", 15},
		"postgres (PostgreSQL) 14.9\n":                           {"14.9", 14},
		"postgres (PostgreSQL) 18beta1\n":                        {"18beta1", 18},
		"postgres (PostgreSQL) 19devel\n":                        {"19devel", 19},
		"postgres (PostgreSQL) 9.6.24\n":                         {"9.6.24", 9},
		"postgres (PostgreSQL) 16.4 (Homebrew)\n":                {"16.4", 16},
		"":                      {},
		"psql 15.12":            {},
		"postgres (PostgreSQL)": {},
		"postgres (PostgreSQL) 99999999999999999999": {},
	} {
		version, major, err := parseVersion(out)
		if version != want.version || major != want.major || (err != nil) != (want.major == 0) {
			t.Errorf("parseVersion(%q) = %q, %d, %v; want %q, %d", out, version, major, err, want.version, want.major)
		}
	}
}

// fakeInstall makes a folder with programs that say they are this version.
func fakeInstall(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n"
	if version == "" {
		script = "#!/bin/sh\nexit 1\n"
	}
	for _, name := range []string{"initdb", "postgres"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindInOneFolder(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		dir     string
		major   int
		version string   // found
		says    []string // otherwise
	}{
		"good":          {fakeInstall(t, "16.4"), 0, "16.4", nil},
		"good again":    {fakeInstall(t, "16.4"), 16, "16.4", nil},
		"too old":       {fakeInstall(t, "14.9"), 0, "", []string{"version 15 or later", "found only 14.9", "make postgres"}},
		"nothing there": {t.TempDir(), 0, "", []string{"found none", "make postgres"}},
		"other cluster": {fakeInstall(t, "16.4"), 15, "", []string{"made by version 15", "found only 16.4", "install version 15"}},
		"broken":        {fakeInstall(t, ""), 0, "", []string{"asking", "exit status 1"}},
	} {
		in, err := Find(t.Context(), tt.dir, tt.major)
		if tt.version != "" {
			if err != nil || in.Version != tt.version || in.BinDir != tt.dir {
				t.Errorf("%s: %+v, %v", name, in, err)
			}
			continue
		}
		if !errors.Is(err, ErrNotInstalled) {
			t.Errorf("%s: %v, want ErrNotInstalled", name, err)
			continue
		}
		for _, s := range tt.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %q lacks %q", name, err, s)
			}
		}
	}
}

// Of several, the one on the PATH counts, if it is not too old.
func TestFindPrefersThePath(t *testing.T) {
	old, chosen := fakeInstall(t, "14.9"), fakeInstall(t, "15.1")
	t.Setenv("PATH", strings.Join([]string{old, "relative", fakeInstall(t, ""), chosen, os.Getenv("PATH")}, ":"))
	in, err := Find(t.Context(), "", 0)
	if err != nil || in.BinDir != chosen {
		t.Errorf("found %+v, %v; want the one in %s", in, err, chosen)
	}
}
