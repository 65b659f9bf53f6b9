package storetest

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"parley/store/localpg"
	"parley/store/storetest/scratch"
)

// sweepAge is how old a folder has to be before a later run takes it for left behind.
// Younger ones may not have got as far as their lock.
const sweepAge = 15 * time.Minute

func dataDir(dir string) string { return filepath.Join(dir, "pg") }

// sweep removes what test processes left that had no chance to clean up: a panic, a
// timeout, a kill. A folder somebody holds is left alone.
func sweep() {
	for _, dir := range scratch.Dirs() {
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
