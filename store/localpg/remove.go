package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// Remove ends whatever server still works in the data folder and removes the folder
// with all its data. ErrInUse when a live process holds it; a folder that is not there
// is no error.
func Remove(ctx context.Context, dataDir string) error {
	if _, err := os.Stat(dataDir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	f, err := openFolder(dataDir)
	if err != nil {
		return fmt.Errorf("removing a private PostgreSQL: %w", err)
	}
	s := &Server{opts: Options{StopTimeout: 10 * time.Second}, log: slog.New(slog.DiscardHandler), folder: f}
	err = s.stopLeftover(ctx)
	if err = errors.Join(err, f.removeSocketDir()); err != nil {
		return errors.Join(err, f.close())
	}
	// Under the lock, so that nobody starts in the middle of it.
	return errors.Join(os.RemoveAll(f.path), f.close())
}
