package scratch

import "syscall"

// memoryFree is how many bytes a folder in memory has room for; 0 when it is none.
func memoryFree(dir string) int64 {
	const tmpfs = 0x01021994 // TMPFS_MAGIC, statfs(2)
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil || int64(st.Type) != tmpfs {
		return 0
	}
	return int64(st.Bavail) * int64(st.Bsize) //nolint:gosec // no machine has that much
}
