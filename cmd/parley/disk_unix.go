//go:build linux || darwin

package main

import "golang.org/x/sys/unix"

// diskFree is how many bytes we may still write where path is, of how many.
func diskFree(path string) (free, size uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, err
	}
	block := uint64(st.Bsize) //nolint:gosec // a block's size
	return st.Bavail * block, st.Blocks * block, nil
}
