//go:build !linux

package localpg

import "syscall"

// dieWithParent does nothing here: the next Start stops the server that was left.
func dieWithParent(*syscall.SysProcAttr) {}
