package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"parley/inbox"
)

// maxSocketPath is the longest path of a Unix socket in bytes: 104 with the
// closing NUL on macOS and the BSDs, 108 on Linux (unix(4), unix(7)).
const maxSocketPath = 103

// socketPath is where the server of a data folder listens for its operator, in a
// folder that only they can enter. A path that is too long for a socket moves to
// a private folder under the temporary one.
func socketPath(dataDir string) (string, error) {
	dir, name := filepath.Join(dataDir, "run"), "api.sock"
	if len(filepath.Join(dir, name)) > maxSocketPath {
		sum := sha256.Sum256([]byte(dataDir))
		dir, name = filepath.Join("/tmp", "parley-"+strconv.Itoa(os.Getuid())), hex.EncodeToString(sum[:8])+".sock"
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("folder for the operator's socket: %w", err)
	}
	// In /tmp anybody may have made a folder of that name.
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("folder for the operator's socket: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !ok || int64(owner.Uid) != int64(os.Getuid()) {
		return "", &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("%s is not a private folder of this user.", dir),
			Hint: "Remove it, or use another data folder.",
		}
	}
	return filepath.Join(dir, name), nil
}

// listenSocket listens on a Unix socket that only its owner can open. A socket
// that a killed server left is replaced; a living server's is not.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	if alive(ctx, path) {
		return nil, &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("A Parley server runs in this data folder already; it answers on %s.", path),
			Hint: "Stop it first, or give this one another --data-dir.",
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("operator's socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err == nil {
		// Until now the folder's mode kept others out.
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("operator's socket: %w", err)
	}
	return l, nil
}

// alive reports whether somebody answers on a socket.
func alive(ctx context.Context, path string) bool {
	d := net.Dialer{Timeout: 2 * time.Second}
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}
