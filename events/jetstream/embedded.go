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
	server *server.Server
	creds  Credentials
	door   *door
	shut   context.CancelFunc
	unlock func()
	log    *slog.Logger
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
	door := &door{creds: creds, open: open}
	srv, err := server.NewServer(&server.Options{
		ServerName:                 "parley",
		Host:                       "127.0.0.1",
		Port:                       o.Port,
		CustomClientAuthentication: door,
		JetStream:                  true,
		StoreDir:                   filepath.Join(o.DataDir, "jetstream"),
		JetStreamMaxStore:          o.MaxStoreBytes,
		JetStreamMaxMemory:         maxServerMemory,
		MaxPayload:                 maxPayload,
		SyncAlways:                 true, // the default loses two minutes on power failure
		NoSigs:                     true, // signals belong to the program
		DisableJetStreamBanner:     true,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	door.server = srv
	bridge := newServerLog(log)
	srv.SetLoggerV2(bridge, false, false, false)
	go srv.Start() // recovering a large store takes a while
	if err := awaitServer(ctx, srv, bridge.fatal); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	creds.URL = "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(srv.Addr().(*net.TCPAddr).Port))
	if err := creds.save(o.DataDir); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, err
	}
	log.Info("embedded NATS is up", "url", creds.URL, "dir", o.DataDir)
	return &Embedded{server: srv, creds: creds, door: door, shut: shut, unlock: unlock, log: log}, nil
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
		e.server.Shutdown()
		e.server.WaitForShutdown()
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
