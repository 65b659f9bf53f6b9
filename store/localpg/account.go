package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the operating system user that the server runs as.
type account struct {
	uid, gid int
	name     string // empty when the user database has none
	drop     bool   // this process is root and has to become the account
}

// credential is what a process of the account is started with. Supplementary groups
// are dropped: root's are not for the server.
func (a account) credential() *syscall.Credential {
	if !a.drop {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)} //nolint:gosec // ids from the user database fit
}

// serverAccount decides who runs the server: whoever owns the cluster, because nobody
// else may; then whoever owns the folder; then a user without rights.
func (f *folder) serverAccount() (account, error) {
	clusterOwner := -1
	if st, err := f.root.Lstat(clusterDir); err == nil {
		clusterOwner = ownerOf(st)
	}
	me := os.Geteuid()
	if me != 0 {
		if clusterOwner >= 0 && clusterOwner != me {
			return account{}, fmt.Errorf("%s belongs to %s and this process runs as %s; "+
				"run it as that user or as root", f.clusterPath(), describe(clusterOwner), describe(me))
		}
		return lookup(me, false), nil
	}
	for _, uid := range []int{clusterOwner, f.owner} {
		if uid > 0 {
			return lookup(uid, true), nil
		}
	}
	for _, name := range []string{"postgres", "_postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, err := strconv.Atoi(u.Uid)
			if err == nil && uid > 0 {
				return lookup(uid, true), nil
			}
		}
	}
	return account{}, errors.New("PostgreSQL refuses to run as root, and there is neither a user " +
		"postgres nor nobody to run it as; create one, or run Parley as an ordinary user")
}

func lookup(uid int, drop bool) account {
	a := account{uid: uid, gid: uid, drop: drop}
	if !drop {
		a.gid = os.Getegid()
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return a // containers run as ids that no user database knows
	}
	a.name = u.Username
	if gid, err := strconv.Atoi(u.Gid); err == nil && drop {
		a.gid = gid
	}
	return a
}

func describe(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return "user " + u.Username
	}
	return "user id " + strconv.Itoa(uid)
}

// checkReach makes sure that the account can run the programs and enter the folder,
// and else says what is in the way: PostgreSQL's own message names only the last step.
func (f *folder) checkReach(ctx context.Context, in Install) error {
	if !f.server.drop {
		return nil
	}
	try := func(dir string) error {
		cmd := f.command(ctx, in, "postgres", "--version")
		cmd.Dir = dir // entered as the account, after its rights are dropped
		return cmd.Run()
	}
	if err := try("/"); err != nil {
		return fmt.Errorf("%s cannot run %s: %w", describe(f.server.uid), in.bin("postgres"), err)
	}
	if try(f.path) == nil {
		return nil
	}
	dir := "/"
	for _, part := range strings.Split(strings.Trim(f.path, "/"), "/") {
		dir = filepath.Join(dir, part)
		if err := try(dir); err != nil {
			return fmt.Errorf("PostgreSQL runs as %s (it refuses to run as root), who may not enter the folder %s: %w; "+
				"either `chmod o+x %s`, or choose a data folder elsewhere, such as below /var/lib",
				describe(f.server.uid), dir, err, dir)
		}
	}
	return nil
}

// command prepares one of PostgreSQL's programs to run as the account, in the data
// folder. It gets an environment of its own: Parley's may hold secrets, and PGDATA,
// PGPORT and the like would be obeyed.
func (f *folder) command(ctx context.Context, in Install, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, in.bin(name), args...) //nolint:gosec // a program that Find found
	cmd.Dir = f.path
	cmd.Env = []string{
		"PATH=" + in.BinDir + ":/usr/local/bin:/usr/bin:/bin",
		"HOME=" + f.path,
		"LC_ALL=C", "TZ=UTC",
	}
	for _, name := range []string{"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	// Its own process group: a Ctrl-C in the terminal is meant for Parley, which first
	// finishes its work and then stops the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: f.server.credential(), Setpgid: true}
	return cmd
}
