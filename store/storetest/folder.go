package storetest

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"parley/store/localpg"
)

const dirPattern = "parley-test-"

// sweepAge is how old a folder has to be before a later run takes it for left behind.
// Younger ones may not have got as far as their lock.
const sweepAge = 15 * time.Minute

// tempDir makes a folder that a server's user can reach when the tests run as root
// (testing.T.TempDir is closed to others), with a path short enough for a socket.
func tempDir() (string, error) {
	dir, err := os.MkdirTemp(tempBase(), dirPattern)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711) //nolint:gosec // others pass through, and cannot list
}

func dataDir(dir string) string { return filepath.Join(dir, "pg") }

// tempBase is where the servers' folders are made: where TMPDIR says, else in memory
// when there is plenty, which makes a database in a tenth of the time, else in the
// system's temporary folder. It avoids macOS's long paths: a server whose socket does
// not fit into its data folder changes its URL with every restart.
func tempBase() string {
	if os.Getenv("TMPDIR") == "" && memoryFree(memoryDir) >= plenty {
		return memoryDir
	}
	if base := os.TempDir(); len(base) <= 40 {
		return base
	}
	return "/tmp"
}

const (
	memoryDir = "/dev/shm"
	plenty    = 4 << 30 // bytes; a server with some databases takes 0.3 GB
)

// sweep removes what test processes left that had no chance to clean up: a panic, a
// timeout, a kill. A folder somebody holds is left alone.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(tempBase(), dirPattern+"*")) // a valid pattern
	for _, dir := range dirs {
		st, err := os.Stat(dir)
		if err != nil || time.Since(st.ModTime()) < sweepAge {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		err = localpg.Remove(ctx, dataDir(dir))
		cancel()
		if err == nil {
			_ = os.RemoveAll(dir) // another user's, if this fails
		}
	}
}
