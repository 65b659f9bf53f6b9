package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// workFolder makes the folder that everything of one run is in, and a function
// that takes it away again.
func workFolder(s settings) (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(s.folder, "parley-bench-")
	if err != nil {
		return "", nil, fmt.Errorf("the working folder: %w", err)
	}
	// PostgreSQL refuses to run as root, and its own user has to pass through.
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // see above; there is nothing to list
		return "", nil, err
	}
	return dir, func() {
		if s.keep {
			fmt.Fprintf(os.Stderr, "parley-bench: databases and logs are in %s\n", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintf(os.Stderr, "parley-bench: %v\n", err)
		}
	}, nil
}

// sub is a folder inside another, made.
func sub(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.MkdirAll(path, 0o700) //nolint:gosec // the operator's choice
}
