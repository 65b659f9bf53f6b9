// Package localpg runs a private PostgreSQL from the programs installed on this
// machine, so that Parley needs no database server to be set up first.
//
// # What it promises
//
//   - The data is as safe as with any PostgreSQL: fsync and full-page writes are
//     on and cannot be switched off by accident, data pages carry checksums.
//   - The server listens on a Unix socket in a folder only its user may enter,
//     never on TCP, and asks for a generated password on top.
//   - Parley's own role, parley, is no superuser and cannot bypass row security;
//     it owns the database parley and may create databases and roles.
//   - One data folder has one Parley: a second Start fails while the first lives.
//   - However the previous Parley ended (kill -9 and power failure included), the
//     next Start finds what it left, ends it in good order and goes on from there.
//
// # Who runs what
//
// PostgreSQL refuses to run as root. Started by root, the server runs as the user
// who owns the cluster, for a new one as postgres, else as nobody. Started by
// anybody else, it runs as that user.
//
// # Files in the data folder
//
//	lock           held (flock) by the Parley that uses the folder
//	cluster/       PostgreSQL's own data folder
//	cluster.new/   a cluster being made; a leftover is thrown away
//	passfile       the password of the role parley, in libpq's format, mode 0600
//	postgres.log   what the server says; moved to postgres.log.1 at 8 MB
//	socket         the folder of the socket, or a link to it when the path is too long
package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Role and Database are what Parley connects as and to. The role owns the database.
const (
	Role     = "parley"
	Database = "parley"
)

// superuser is the cluster's bootstrap role. It has no password: only the operating
// system users named in pg_ident.conf can log in as it (psql -h <socket> -U postgres).
const superuser = "postgres"

// port only names the socket file; nothing listens on TCP.
const port = "5432"

// Options say where and how to run the server. Only DataDir is required.
type Options struct {
	// DataDir is the folder that holds everything; made when missing. When root
	// starts the server, every folder above must let the server's user through.
	DataDir string

	// BinDir is the folder of initdb and postgres. Empty: searched for, see Find.
	BinDir string

	// Logger hears about start, recovery and stop. Nil: silence.
	Logger *slog.Logger

	// StopTimeout is how long a fast shutdown may take (it writes a checkpoint)
	// before it is cut short, which costs a recovery at the next start. Zero: 30 s.
	StopTimeout time.Duration

	// Settings are extra lines of configuration, by name; they override Parley's
	// defaults, not what safety needs. Names and values are not checked here.
	Settings map[string]string

	// UnsafeLoseDataOnPowerFailure switches fsync off. A test database that lives
	// for a minute gets faster by it; anything else gets corrupt by it.
	UnsafeLoseDataOnPowerFailure bool

	// orphan keeps the server from noticing that the process that started it died,
	// which is what happens on systems without a parent-death signal. For tests.
	orphan bool
}

// Server is a running private PostgreSQL. Its methods may be called by any goroutine.
type Server struct {
	opts    Options
	log     *slog.Logger
	folder  *folder
	install Install
	pm      *postmaster

	stop    sync.Once
	stopErr error
}

// Start makes the cluster when there is none, cleans up what an earlier process
// left, starts the server and returns once Parley's role can log in. The server
// outlives ctx, which only limits the start: recovery after a crash can take
// minutes, so give it time. The caller must call Stop.
//
// Errors say what to do. ErrInUse and ErrNotInstalled can be asked for by errors.Is.
func Start(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{opts: opts, log: opts.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.opts.StopTimeout <= 0 {
		s.opts.StopTimeout = 30 * time.Second
	}
	if opts.DataDir == "" {
		return nil, errors.New("localpg: no data folder given")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		if s.folder != nil {
			err = errors.Join(err, s.folder.close())
		}
		return nil, fmt.Errorf("private PostgreSQL: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	var err error
	if s.folder, err = openFolder(s.opts.DataDir); err != nil {
		return err
	}
	major, err := s.folder.clusterMajor()
	if err != nil {
		return err
	}
	if s.install, err = Find(ctx, s.opts.BinDir, major); err != nil {
		return err
	}
	if err := s.folder.checkReach(ctx, s.install); err != nil {
		return err
	}
	if err := s.stopLeftover(ctx); err != nil {
		return err
	}
	if err := s.ensureCluster(ctx); err != nil {
		return err
	}
	if err := s.configure(); err != nil {
		return err
	}
	if s.pm, err = s.launch(ctx); err != nil {
		return err
	}
	if err := s.waitReady(ctx); err != nil {
		return errors.Join(err, s.pm.end(context.WithoutCancel(ctx), s.opts.StopTimeout))
	}
	s.log.InfoContext(ctx, "private PostgreSQL is ready", "version", s.install.Version,
		"pid", s.pm.pid(), "data", s.folder.path)
	return nil
}

// URL is the connection string for Parley's role and database. It holds no secret:
// the password is in the file it names, which psql and pgx both read.
func (s *Server) URL() string { return urlOf(s.folder.path, s.folder.socketDir) }

// URLOf is the URL of the server that runs in a data folder, for another process of
// the same user.
func URLOf(dataDir string) (string, error) {
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return "", err
	}
	// Where its path is too long, the socket is elsewhere and this a link to it.
	socketDir, err := filepath.EvalSymlinks(filepath.Join(dir, socketName))
	if err != nil {
		return "", err
	}
	return urlOf(dir, socketDir), nil
}

func urlOf(folder, socketDir string) string {
	u := url.URL{Scheme: "postgres", User: url.User(Role), Path: "/" + Database}
	q := url.Values{}
	q.Set("host", socketDir)
	q.Set("port", port)
	q.Set("passfile", filepath.Join(folder, passFile))
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	return u.String()
}

// Version is the server's version as it names itself, for example "15.12".
func (s *Server) Version() string { return s.install.Version }

// PID is the process id of the postmaster.
func (s *Server) PID() int { return s.pm.pid() }

// Done is closed when the server has ended, asked or not. Nothing restarts it:
// whoever started it decides.
func (s *Server) Done() <-chan struct{} { return s.pm.done }

// Err says why the server ended: nil while it runs or when it was asked to end,
// otherwise what it last wrote to its log.
func (s *Server) Err() error {
	select {
	case <-s.pm.done:
	default:
		return nil
	}
	if s.pm.asked.Load() {
		return nil
	}
	return fmt.Errorf("private PostgreSQL ended unasked (%s)%s",
		s.pm.state(), s.folder.logTail(s.pm.logStart))
}

// Stop ends the server in good order, sessions included, and gives the data folder
// free. It takes at most Options.StopTimeout or until ctx ends, then cuts the
// shutdown short: nothing committed is lost, the next start recovers. Calling it
// again returns what the first call returned.
func (s *Server) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		s.stopErr = errors.Join(
			s.pm.end(ctx, s.opts.StopTimeout),
			s.folder.close(),
		)
		s.log.InfoContext(ctx, "private PostgreSQL has stopped", "data", s.folder.path)
	})
	return s.stopErr
}

// Kill ends the server the way a crash would, without warning, and gives the data
// folder free. For tests of what survives.
func (s *Server) Kill() error {
	s.stop.Do(func() {
		s.stopErr = errors.Join(s.pm.kill(), s.folder.close())
	})
	return s.stopErr
}

// mkdir makes dir and whatever is missing above it with exactly this mode: a umask
// of 077 would lock the server's user out of a folder meant to be passed through.
func mkdir(dir string, mode os.FileMode) error {
	err := os.Mkdir(dir, mode)
	if errors.Is(err, os.ErrNotExist) {
		if err := mkdir(filepath.Dir(dir), mode); err != nil {
			return err
		}
		err = os.Mkdir(dir, mode)
	}
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}
