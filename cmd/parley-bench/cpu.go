package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// clockTick is the unit of CPU times in /proc: USER_HZ is 100 on every Linux that
// Go runs on (proc_pid_stat(5)).
const clockTick = 10 * time.Millisecond

// procStat is what a process, and the children it has waited for, used.
type procStat struct {
	parent      int
	own, reaped time.Duration
}

// readStat reads /proc/<pid>/stat.
func readStat(pid int) (procStat, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return procStat{}, err
	}
	// The name is in parentheses, and may hold anything.
	end := bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[end+1:])
	if end < 0 || len(fields) < 15 {
		return procStat{}, fmt.Errorf("/proc/%d/stat cannot be read", pid)
	}
	number := func(i int) time.Duration {
		n, _ := strconv.ParseInt(string(fields[i]), 10, 64)
		return time.Duration(n) * clockTick
	}
	parent, err := strconv.Atoi(string(fields[1]))
	// Fields 14 to 17 of proc_pid_stat(5): utime, stime, cutime, cstime.
	return procStat{parent: parent, own: number(11) + number(12), reaped: number(13) + number(14)}, err
}

// cpuOf is the CPU time of one process so far.
func cpuOf(pid int) (time.Duration, error) {
	s, err := readStat(pid)
	return s.own, err
}

// cpuOfTree is the CPU time of a process, its children that live, and those that
// have ended: a PostgreSQL.
func cpuOfTree(pid int) (time.Duration, error) {
	root, err := readStat(pid)
	if err != nil {
		return 0, err
	}
	total := root.own + root.reaped
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range all {
		id, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		s, err := readStat(id)
		if errors.Is(err, os.ErrNotExist) {
			continue // ended meanwhile
		}
		if err == nil && s.parent == pid {
			total += s.own + s.reaped
		}
	}
	return total, nil
}

// cpuTimes are the two sides of the program under measurement.
type cpuTimes struct{ parley, postgres time.Duration }

func readCPU(parley *process, c *cluster) (t cpuTimes, err error) {
	var err1, err2 error
	t.parley, err1 = cpuOf(parley.pid())
	t.postgres, err2 = cpuOfTree(c.server.PID())
	return t, errors.Join(err1, err2)
}

func (t cpuTimes) minus(o cpuTimes) cpuTimes {
	return cpuTimes{t.parley - o.parley, t.postgres - o.postgres}
}

// per is milliseconds for each of n.
func per(d time.Duration, n int) float64 {
	if n == 0 {
		return 0
	}
	return d.Seconds() * 1000 / float64(n)
}
