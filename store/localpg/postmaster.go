package localpg

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// quitTimeout is how long the immediate shutdown may take: the server itself kills
// what is left of its processes after five seconds.
const quitTimeout = 10 * time.Second

// postmaster is the server's main process, a child of this one.
type postmaster struct {
	cmd      *exec.Cmd
	cluster  string
	logStart int64
	asked    atomic.Bool   // to end
	done     chan struct{} // closed when it has been waited for
}

// configure writes what may change from start to start.
func (s *Server) configure() error {
	if err := s.folder.makeSocketDir(); err != nil {
		return err
	}
	return s.folder.writeFile(filepath.Join(clusterDir, "parley.conf"), parleyConf(s.opts.Settings),
		s.folder.server.uid, s.folder.server.gid)
}

// launch starts the postmaster.
func (s *Server) launch(ctx context.Context) (*postmaster, error) {
	f := s.folder
	fsync := "on"
	if s.opts.UnsafeLoseDataOnPowerFailure {
		fsync = "off"
	}
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	args := []string{"-D", f.clusterPath()}
	// What no configuration file may change goes on the command line.
	for _, setting := range []string{
		"listen_addresses=", "port=" + port, "unix_socket_directories=" + quote(f.socketDir),
		"fsync=" + fsync, "full_page_writes=" + fsync,
		"logging_collector=off",
	} {
		args = append(args, "-c", setting)
	}
	log, start, err := f.openLog()
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// The server outlives the context it is started under.
	cmd := f.command(context.WithoutCancel(ctx), s.install, "postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if !s.opts.orphan {
		dieWithParent(cmd.SysProcAttr)
	}
	p := &postmaster{cmd: cmd, cluster: f.clusterPath(), logStart: start, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The parent-death signal comes when the *thread* that started the child ends
		// (prctl(2)), so this goroutine keeps its thread for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended stays in cmd.ProcessState
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return p, nil
}

// waitReady waits until Parley's role can log in, however long recovery takes.
func (s *Server) waitReady(ctx context.Context) error {
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	report := time.NewTicker(10 * time.Second)
	defer report.Stop()
	for {
		err := s.tryLogin(ctx)
		if err == nil || permanent(err) {
			return err
		}
		select {
		case <-retry.C:
		case <-report.C:
			s.log.InfoContext(ctx, "waiting for PostgreSQL, which recovers after a crash", "now", err)
		case <-s.pm.done:
			return fmt.Errorf("it did not start (%s)%s", s.pm.state(), s.folder.logTail(s.pm.logStart))
		case <-ctx.Done():
			return fmt.Errorf("it was not ready in time: %w%s", ctx.Err(), s.folder.logTail(s.pm.logStart))
		}
	}
}

// tryLogin logs in as Parley's role and makes sure that it has no more rights than it
// should: row security does not bind a superuser.
func (s *Server) tryLogin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	var tooMuch bool
	const q = `SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user`
	if err := conn.QueryRow(ctx, q).Scan(&tooMuch); err != nil {
		return err
	}
	if tooMuch {
		return errTooMuch
	}
	return nil
}

var errTooMuch = errors.New("the role " + Role + " is a superuser or bypasses row security, so tenants would not " +
	"be kept apart; run ALTER ROLE " + Role + " NOSUPERUSER NOBYPASSRLS")

// permanent tells what waiting does not cure: the server answered, and not with
// "starting up" (57P03) or "too many connections" (53300).
func permanent(err error) bool {
	if errors.Is(err, errTooMuch) {
		return true
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code != "57P03" && pg.Code != "53300"
}

func (p *postmaster) pid() int { return p.cmd.Process.Pid }

// state is how the process ended, for an error's text. Only after done.
func (p *postmaster) state() string { return p.cmd.ProcessState.String() }

// end asks for a fast shutdown (SIGINT: sessions end, a checkpoint is written), after
// timeout or with ctx for an immediate one (SIGQUIT), and at last takes the process away.
func (p *postmaster) end(ctx context.Context, timeout time.Duration) error {
	p.asked.Store(true)
	steps := []struct {
		sig  syscall.Signal
		wait time.Duration
	}{{syscall.SIGINT, timeout}, {syscall.SIGQUIT, quitTimeout}}
	for i, step := range steps {
		_ = p.cmd.Process.Signal(step.sig) // an error means that it has ended already
		stepCtx, cancel := context.WithTimeout(ctx, step.wait)
		if i > 0 {
			cancel()
			stepCtx, cancel = context.WithTimeout(context.WithoutCancel(ctx), step.wait)
		}
		select {
		case <-p.done:
			cancel()
			return nil
		case <-stepCtx.Done():
			cancel()
		}
	}
	return p.kill()
}

// kill takes the postmaster away and waits until its children have noticed, which
// they do on their own.
func (p *postmaster) kill() error {
	p.asked.Store(true)
	_ = p.cmd.Process.Kill() // an error means that it has ended already
	<-p.done
	ctx, cancel := context.WithTimeout(context.Background(), quitTimeout)
	defer cancel()
	return waitGone(ctx, p.cluster)
}
