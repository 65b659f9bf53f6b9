package localpg

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	socketName = "socket"
	socketFile = ".s.PGSQL." + port
	tempPrefix = "parley-pg-"
)

// maxSocketPath is the longest path of a socket in bytes: sockaddr_un.sun_path holds
// 104 on macOS and the BSDs, 108 on Linux, closing NUL included (unix(4), unix(7)).
const maxSocketPath = 103

// makeSocketDir makes the folder of the socket, which only the server's user may
// enter (and root). It is in the data folder when the path fits, else in the
// temporary folder under a name nobody can occupy beforehand, with a link to it.
func (f *folder) makeSocketDir() error {
	if err := f.removeSocketDir(); err != nil {
		return fmt.Errorf("removing an earlier socket: %w", err)
	}
	dir := filepath.Join(f.path, socketName)
	if len(filepath.Join(dir, socketFile)) <= maxSocketPath {
		if err := f.root.Mkdir(socketName, 0o700); err != nil {
			return err
		}
		if f.server.drop {
			if err := f.root.Lchown(socketName, f.server.uid, f.server.gid); err != nil {
				return err
			}
		}
		f.socketDir = dir
		return nil
	}
	base := os.TempDir()
	if len(filepath.Join(base, tempPrefix+"1234567890", socketFile)) > maxSocketPath {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, tempPrefix)
	if err != nil {
		return err
	}
	if f.server.drop {
		if err := os.Chown(dir, f.server.uid, f.server.gid); err != nil {
			return err
		}
	}
	f.socketDir = dir
	return f.root.Symlink(dir, socketName)
}

// removeSocketDir removes what makeSocketDir made, in this process or an earlier one.
func (f *folder) removeSocketDir() error {
	st, err := f.root.Lstat(socketName)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode()&os.ModeSymlink != 0 {
		target, err := f.root.Readlink(socketName)
		if err != nil {
			return err
		}
		// The link may be old and the temporary folder is everybody's: take away only
		// what bears our name, and only if nothing but a socket is in it.
		if strings.HasPrefix(filepath.Base(target), tempPrefix) {
			_ = os.Remove(filepath.Join(target, socketFile))
			_ = os.Remove(filepath.Join(target, socketFile+".lock"))
			_ = os.Remove(target)
		}
	}
	return f.root.RemoveAll(socketName)
}
