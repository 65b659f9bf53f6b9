package main

import (
	"context"
	"path/filepath"

	"parley/store"
)

// openBlobs opens the store of files and large payloads, or returns nil where a
// folder of this process's own would hide them from the others.
func openBlobs(ctx context.Context, cfg *Config) (store.Blobs, error) {
	if cfg.BlobURL != "" {
		return store.OpenBlobs(ctx, cfg.BlobURL)
	}
	if cfg.NATSURL != "" || cfg.DatabaseURL != "" {
		return nil, nil
	}
	return store.OpenBlobFolder(filepath.Join(cfg.DataDir, "blobs"))
}
