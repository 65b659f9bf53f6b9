// Package scratch finds a fast place for a test's PostgreSQL.
package scratch

import (
	"os"
	"path/filepath"
)

const (
	pattern   = "parley-test-"
	memoryDir = "/dev/shm"
	plenty    = 4 << 30 // bytes; a server with some databases takes 0.3 GB
)

// Dir makes a folder that a server's user can reach when the tests run as root
// (testing.T.TempDir is closed to others). The caller removes it.
func Dir() (string, error) {
	dir, err := os.MkdirTemp(base(), pattern)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711) //nolint:gosec // others pass through, and cannot list
}

// Dirs are the folders that Dir has made, in this process or another.
func Dirs() []string {
	dirs, _ := filepath.Glob(filepath.Join(base(), pattern+"*")) // a valid pattern
	return dirs
}

// base is where TMPDIR says, else in memory when there is plenty, which makes a
// database in a tenth of the time, else the system's temporary folder. It avoids
// macOS's long paths: a server whose socket does not fit into its data folder changes
// its URL with every restart.
func base() string {
	if os.Getenv("TMPDIR") == "" && memoryFree(memoryDir) >= plenty {
		return memoryDir
	}
	if dir := os.TempDir(); len(dir) <= 40 {
		return dir
	}
	return "/tmp"
}
