package localpg

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// runsIn tells whether the process lives and is a PostgreSQL that works in the cluster.
// The server changes into its data folder when it starts, and stays there.
func runsIn(ctx context.Context, pid int, cluster string) bool {
	cwd := filepath.Join("/proc", strconv.Itoa(pid), "cwd")
	if in, err := sameDir(cwd, cluster); err == nil {
		return in && isPostgres(pid)
	} else if os.IsNotExist(err) && hasProc() {
		return false // ended, or a zombie nobody waits for
	}
	// No /proc (macOS), or it hides other people's processes.
	id := strconv.Itoa(pid)
	out, err := exec.CommandContext(ctx, "ps", "-ww", "-o", "stat=,command=", "-p", id).Output() //nolint:gosec // id is a number
	line := strings.TrimSpace(string(out))
	return err == nil && !strings.HasPrefix(line, "Z") &&
		strings.Contains(line, "postgres") && strings.Contains(line, cluster)
}

// processesIn are the processes that work in the cluster; none where there is no /proc.
func processesIn(cluster string) []int {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is a constant, it parses
	var pids []int
	for _, link := range links {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if in, err := sameDir(link, cluster); err == nil && in && isPostgres(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// isPostgres keeps a shell that somebody left open in the folder out of the count.
func isPostgres(pid int) bool {
	comm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
	return err == nil && strings.HasPrefix(string(comm), "postgres")
}

func hasProc() bool {
	_, err := os.Stat("/proc/self/cwd")
	return err == nil
}

func sameDir(a, b string) (bool, error) {
	sa, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	sb, err := os.Stat(b)
	if err != nil {
		return false, err
	}
	return os.SameFile(sa, sb), nil
}
