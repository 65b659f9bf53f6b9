package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pidFile is the postmaster's own lock file; its first line is a process id.
const pidFile = "postmaster.pid"

// stopLeftover ends a postmaster that an earlier Parley left behind when it died. The
// folder's lock is held, so whoever it belonged to is gone.
//
// A pid file alone proves nothing: its process may have ended, and the number may be
// somebody else's by now (after a reboot, and in containers nearly always).
func (s *Server) stopLeftover(ctx context.Context) error {
	name := filepath.Join(clusterDir, pidFile)
	b, err := s.folder.root.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	first, rest, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		// Not written to the end before the power went.
		return s.folder.root.Remove(name)
	}
	cluster := s.folder.clusterPath()
	if runsIn(ctx, pid, cluster) {
		s.log.WarnContext(ctx, "stopping the PostgreSQL that an earlier Parley left running", "pid", pid)
		if err := s.endStranger(ctx, pid); err != nil {
			return err
		}
	} else if syscall.Kill(pid, 0) == nil {
		// The number is somebody else's. The server would take that process for its
		// predecessor and refuse to start; its parent's id, ours, it does not. The rest
		// of the file stays: by it, the server finds shared memory that is still in use.
		s.log.WarnContext(ctx, "the pid file is stale and its number reused", "pid", pid)
		content := strconv.Itoa(os.Getpid()) + "\n" + rest
		if err := s.folder.writeFile(name, content, s.folder.server.uid, s.folder.server.gid); err != nil {
			return err
		}
	}
	// Sessions outlive a killed postmaster by a moment, and one that does not notice
	// must not meet a second server on its files.
	ctx, cancel := context.WithTimeout(ctx, s.opts.StopTimeout)
	defer cancel()
	return waitGone(ctx, cluster)
}

// endStranger does what postmaster.end does, for a process that is no child of ours.
func (s *Server) endStranger(ctx context.Context, pid int) error {
	gone := func(sig syscall.Signal, timeout time.Duration) bool {
		_ = syscall.Kill(pid, sig) // an error means that it has ended already
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return poll(ctx, func() bool { return !runsIn(ctx, pid, s.folder.clusterPath()) })
	}
	if gone(syscall.SIGINT, s.opts.StopTimeout) || gone(syscall.SIGQUIT, quitTimeout) ||
		gone(syscall.SIGKILL, quitTimeout) {
		return nil
	}
	return fmt.Errorf("process %d, left by an earlier Parley, does not end; end it by hand: kill -QUIT %d", pid, pid)
}

// waitGone waits until no process works in the cluster any more.
func waitGone(ctx context.Context, cluster string) error {
	var left []int
	if poll(ctx, func() bool { left = processesIn(cluster); return len(left) == 0 }) {
		return nil
	}
	return fmt.Errorf("processes of an earlier PostgreSQL still work in %s: %v; end them by kill -QUIT", cluster, left)
}

// poll asks until the answer is yes; false when ctx ended before. The end of a process
// that is not a child cannot be waited for on every system.
func poll(ctx context.Context, yes func() bool) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if yes() {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}
