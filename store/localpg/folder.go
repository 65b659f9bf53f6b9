package localpg

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	clusterDir  = "cluster"
	newClusters = "cluster.new-"
	lockFile    = "lock"
	logFile     = "postgres.log"
)

// maxLog is the size in bytes at which a start moves the log aside. The server writes
// warnings and errors only, so this is years, or one bad night.
const maxLog = 8 << 20

// ErrInUse is returned when another process holds the data folder.
var ErrInUse = errors.New("data folder is in use")

// folder is a data folder this process holds.
//
// Root does all its work here through an os.Root: parts belong to a user with fewer
// rights, who must not be able to send a write elsewhere by planting a link.
type folder struct {
	path      string // absolute, links resolved
	root      *os.Root
	lock      *os.File
	owner     int // user id of the folder; owns what is beside the cluster
	server    account
	socketDir string // empty until makeSocketDir
}

// openFolder makes the folder when missing, takes its lock and decides who the server
// will run as.
func openFolder(dir string) (_ *folder, err error) {
	asRoot := os.Geteuid() == 0
	mode := os.FileMode(0o700)
	if asRoot {
		mode = 0o711 // the server's user has to pass through
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := mkdir(dir, mode); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	f := &folder{path: dir}
	if f.root, err = os.OpenRoot(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	st, err := f.root.Stat(".")
	if err != nil {
		return nil, err
	}
	f.owner = ownerOf(st)
	if asRoot && f.owner == 0 && st.Mode().Perm()&0o011 != 0o011 {
		// Made by somebody with a private umask. The folder is ours to open.
		if err := f.root.Chmod(".", st.Mode().Perm()|0o011); err != nil {
			return nil, err
		}
	}
	if err := f.takeLock(); err != nil {
		return nil, err
	}
	f.server, err = f.serverAccount()
	return f, err
}

// takeLock takes the lock that makes a second Parley on this folder fail. The kernel
// drops it with the process, however that ends.
func (f *folder) takeLock() error {
	lock, err := f.openFile(lockFile, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return fmt.Errorf("opening the lock: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		pid, _ := io.ReadAll(io.LimitReader(lock, 20)) // only for the message
		_ = lock.Close()
		return fmt.Errorf("%w: %s is held by process %s; stop that one, or choose another folder",
			ErrInUse, f.path, strings.TrimSpace(string(pid)))
	}
	if err != nil {
		_ = lock.Close()
		return fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	f.lock = lock
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// close gives the folder free. The lock file stays: removing it would let two
// processes lock two files of one name.
func (f *folder) close() error {
	var err error
	if f.lock != nil { // else the socket is somebody else's
		err = f.removeSocketDir()
		// Closing is not enough: a program being started right now by another goroutine
		// shares the lock from its fork to its exec.
		err = errors.Join(err, syscall.Flock(int(f.lock.Fd()), syscall.LOCK_UN), f.lock.Close())
		f.lock = nil
	}
	return errors.Join(err, f.root.Close())
}

// openFile opens a file beside the cluster, which belongs to the folder's owner even
// when root makes it, so that the owner can go on without root.
func (f *folder) openFile(name string, flag int) (*os.File, error) {
	file, err := f.root.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 && f.owner != 0 {
		if err := file.Chown(f.owner, -1); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return file, nil
}

// writeFile writes a file of the server's, or of the folder's owner, and waits until
// it is on disk.
func (f *folder) writeFile(name, content string, uid, gid int) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	if err == nil && os.Geteuid() == 0 {
		err = file.Chown(uid, gid)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncDir makes renames in the folder survive a power failure.
func (f *folder) syncDir() error {
	d, err := f.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// clusterPath is where PostgreSQL keeps its data.
func (f *folder) clusterPath() string { return filepath.Join(f.path, clusterDir) }

// clusterMajor is the version that made the cluster, 0 when there is none yet.
func (f *folder) clusterMajor() (int, error) {
	name := filepath.Join(clusterDir, "PG_VERSION")
	b, err := f.root.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", name, err)
	}
	return major, nil
}

// openLog opens the server's log for appending and says where this start's lines begin.
func (f *folder) openLog() (*os.File, int64, error) {
	if st, err := f.root.Stat(logFile); err == nil && st.Size() > maxLog {
		if err := f.root.Rename(logFile, logFile+".1"); err != nil {
			return nil, 0, err
		}
	}
	file, err := f.openFile(logFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return nil, 0, fmt.Errorf("opening the log: %w", err)
	}
	st, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, st.Size(), nil
}

// logTail is the end of what the server has logged since the offset, for an error's
// text: at most 12 lines, with where to read more.
func (f *folder) logTail(since int64) string {
	const lines, bytes = 12, 4 << 10
	path := filepath.Join(f.path, logFile)
	// By path: the folder may be closed by now, and only this process's user reads it.
	b, err := os.ReadFile(path) //nolint:gosec // the path is the caller's data folder
	if err != nil {
		return "; its log cannot be read: " + err.Error()
	}
	if since > int64(len(b)) {
		since = 0
	}
	b = b[since:]
	if len(b) > bytes {
		b = b[len(b)-bytes:]
	}
	tail := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(tail) > lines {
		tail = tail[len(tail)-lines:]
	}
	return fmt.Sprintf("; the last lines of %s:\n%s", path, strings.Join(tail, "\n"))
}

func ownerOf(st os.FileInfo) int {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return int(sys.Uid)
	}
	return os.Geteuid()
}
