//go:build unix

package main

import (
	"os"
	"syscall"
)

// ownerOf is the user who owns a file; ok is false where that is not known.
func ownerOf(st os.FileInfo) (uid int, ok bool) {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(sys.Uid), true
}

// sameOwner gives the file at path to the owner of another.
func sameOwner(path string, as os.FileInfo) error {
	sys, ok := as.Sys().(*syscall.Stat_t)
	if !ok || int(sys.Uid) == os.Geteuid() {
		return nil
	}
	return os.Chown(path, int(sys.Uid), int(sys.Gid))
}
