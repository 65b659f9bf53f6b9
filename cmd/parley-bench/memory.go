package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// forgetPeak makes a process's peak memory begin anew (proc_pid_clear_refs(5)).
func forgetPeak(pid int) error {
	return os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "clear_refs"), []byte("5"), 0)
}

// residentOf is the memory in bytes that a process has in RAM now.
func residentOf(pid int) (int64, error) { return memoryOf(pid, "VmRSS:") }

// peakOf is the most memory in bytes that a process had in RAM at once since it began, or since
// [forgetPeak].
func peakOf(pid int) (int64, error) { return memoryOf(pid, "VmHWM:") }

// memoryOf reads a field of proc_pid_status(5).
func memoryOf(pid int, field string) (int64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte(field)); ok {
			kB, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(value), []byte("kB")))), 10, 64)
			return kB << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", pid, field)
}
