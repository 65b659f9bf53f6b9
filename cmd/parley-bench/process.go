package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is a child of this program. It ends when this program does, however
// that ends.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
}

// start runs a program whose output goes to a file named after it.
func start(dir, name string, env []string, path string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	// Not CommandContext: whoever started it ends it, gently or not.
	p.cmd = exec.Command(path, args...) //nolint:gosec,noctx // our own programs, ended by stop or kill
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// In a group of its own: a Ctrl-C is meant for this program, which cleans up.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The parent's death is the death of the thread that started the child
		// (prctl(2)), so that thread stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended is in ProcessState
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return p, nil
}

// startSelf runs another job of this program.
func startSelf(dir, name string, args ...string) (*process, error) {
	me, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(dir, name, nil, me, args...)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// running reports whether it has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal is not told whether the process still lives: it may end at any moment.
func (p *process) signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

// kill ends it the way a crash does.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// stop asks it to end, and makes it after a while.
func (p *process) stop() {
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.kill()
	}
}

// wait waits for its end, and says how that was if it was a failure.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !p.cmd.ProcessState.Success() {
		return p.ended()
	}
	return nil
}

// endedError says that a process ended although it should not have: waiting for
// what it was to do is pointless.
type endedError struct{ p *process }

func (e *endedError) Error() string {
	return fmt.Sprintf("%s ended (%s), its last words:\n%s", e.p.name, e.p.cmd.ProcessState, lastLines(e.p.log, 15))
}

func (p *process) ended() error { return &endedError{p} }

// lastLines is the end of a file.
func lastLines(path string, n int) string {
	text, err := os.ReadFile(path) //nolint:gosec // a log of ours
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(len(lines)-n, 0):], "\n")
}

// until asks ten times a second until the answer is yes: seldom enough not to be
// part of what is measured. The error says what was waited for, and the last
// error of ask.
func until(ctx context.Context, limit time.Duration, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		yes, err := ask()
		if yes && err == nil {
			return nil
		}
		if over := (*endedError)(nil); errors.As(err, &over) {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waiting for %s: %w", what, ctx.Err()), err)
		}
	}
}
