package localpg

import "syscall"

// dieWithParent makes the kernel ask the server for a fast shutdown when this process
// dies, so that a kill -9 of Parley leaves no server behind.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }
