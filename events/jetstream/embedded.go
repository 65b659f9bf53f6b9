package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// EmbedOptions configure the server inside this process.
type EmbedOptions struct {
	// DataDir holds the store and the credentials file; it is created, and
	// locked while the server runs.
	DataDir string
	// Port on 127.0.0.1; 0 takes the last run's if it is free, else any.
	Port int
	// MaxStoreBytes is the most that all streams may keep on disk; default
	// 64 GiB. JetStream stops altogether when the disk itself runs full, so it
	// should be less than what is free.
	MaxStoreBytes int64
	// Trouble is told when the store cannot be written to, most often because its
	// disk is full, and with nil once it can be again; optional. What was
	// acknowledged is kept meanwhile, and nothing new is accepted.
	Trouble func(error)
	// Logger defaults to none.
	Logger *slog.Logger
}

// Limits of the embedded server.
const (
	defaultMaxStore = 64 << 30
	maxServerMemory = 256 << 20
	// maxPayload is well above an event whose payload stays below the blob
	// threshold; NATS advises against more than 8 MB
	// (https://docs.nats.io/reference/faq#is-there-a-message-size-limitation-in-nats).
	maxPayload = 4 << 20
)

// Embedded is a NATS server in this process: JetStream on disk, every write
// fsynced before it is acknowledged, reachable from this machine only.
type Embedded struct {
	opts EmbedOptions
	// running is replaced when the store could not be written to; see mend.
	running atomic.Pointer[embeddedServer]
	creds   Credentials
	door    *door
	shut    context.CancelFunc
	mending sync.WaitGroup
	unlock  func()
	log     *slog.Logger
}

// embeddedServer is one start of the server, with its own log.
type embeddedServer struct {
	*server.Server
	log *serverLog
}

// Embed starts the server and returns once it serves. A store left behind by a
// killed process is recovered; one in use by a living process is refused.
func Embed(ctx context.Context, o EmbedOptions) (_ *Embedded, err error) {
	if o.DataDir == "" {
		return nil, errors.New("embedded NATS needs a data directory")
	}
	if o.MaxStoreBytes <= 0 {
		o.MaxStoreBytes = defaultMaxStore
	}
	log := logger(o.Logger)
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory of embedded NATS: %w", err)
	}
	unlock, err := lockDir(o.DataDir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			unlock()
		}
	}()
	creds, err := loadCredentials(o.DataDir)
	if err != nil {
		return nil, err
	}
	if o.Port == 0 {
		o.Port = freePort(ctx, creds.URL)
	}
	open, shut := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			shut()
		}
	}()
	e := &Embedded{opts: o, creds: creds, door: &door{creds: creds, open: open}, shut: shut, unlock: unlock, log: log}
	srv, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	e.opts.Port = srv.Addr().(*net.TCPAddr).Port
	e.creds.URL = "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(e.opts.Port))
	if err := e.creds.save(o.DataDir); err != nil {
		srv.end()
		return nil, err
	}
	e.mending.Go(func() { e.mend(open) })
	log.Info("embedded NATS is up", "url", e.creds.URL, "dir", o.DataDir)
	return e, nil
}

// begin starts a server on the store, and lets clients in.
func (e *Embedded) begin(ctx context.Context) (*embeddedServer, error) {
	srv, err := server.NewServer(&server.Options{
		ServerName:                 "parley",
		Host:                       "127.0.0.1",
		Port:                       e.opts.Port,
		CustomClientAuthentication: e.door,
		JetStream:                  true,
		StoreDir:                   filepath.Join(e.opts.DataDir, "jetstream"),
		JetStreamMaxStore:          e.opts.MaxStoreBytes,
		JetStreamMaxMemory:         maxServerMemory,
		MaxPayload:                 maxPayload,
		SyncAlways:                 true, // the default loses two minutes on power failure
		NoSigs:                     true, // signals belong to the program
		DisableJetStreamBanner:     true,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	s := &embeddedServer{Server: srv, log: newServerLog(e.log)}
	e.door.server.Store(srv)
	srv.SetLoggerV2(s.log, false, false, false)
	go srv.Start() // recovering a large store takes a while
	if err := awaitServer(ctx, srv, s.log.fatal); err != nil {
		s.end()
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	e.running.Store(s)
	return s, nil
}

func (s *embeddedServer) end() {
	s.Shutdown()
	s.WaitForShutdown()
}

// awaitServer polls because the server offers no signal.
func awaitServer(ctx context.Context, srv *server.Server, fatal <-chan error) error {
	for {
		if srv.ReadyForConnections(50*time.Millisecond) && srv.JetStreamEnabled() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-fatal:
			return err
		default:
		}
	}
}

// freePort prefers the port of last time, so that programs that follow find the
// server again. It returns -1, the server's word for any, when that is taken.
func freePort(ctx context.Context, lastURL string) int {
	port := portOf(lastURL)
	if port == 0 {
		return server.RANDOM_PORT
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return server.RANDOM_PORT
	}
	_ = l.Close()
	return port
}

// Credentials tell other programs on this machine how to follow along; they are
// also in the file "nats.json" in the data directory, readable by its owner only.
func (e *Embedded) Credentials() Credentials { return e.creds }

// Shutdown stops the server and waits for it, or for ctx. Close the [Bus] first.
// The store is consistent however the server ends.
func (e *Embedded) Shutdown(ctx context.Context) error {
	e.shut()
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.mending.Wait()
		e.running.Load().end()
		e.unlock()
	}()
	select {
	case <-done:
		e.log.Info("embedded NATS is down")
		return nil
	case <-ctx.Done():
		return fmt.Errorf("embedded NATS is still shutting down: %w", ctx.Err())
	}
}
