package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/events/jetstream"
	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/api"
	"parley/inbox/desk"
	"parley/store"
	"parley/store/localpg"
	"parley/transports/gateway"
)

// Config is what a server is started with. Flags, the environment and tests
// fill it.
type Config struct {
	// DataDir holds what this server keeps on disk. It is required; the bus and
	// the database are in it unless their URLs are given.
	DataDir string
	// DatabaseURL and NATSURL are external ones; empty for those in DataDir.
	DatabaseURL, NATSURL string
	// SecretKey is the key's text, SecretKeyFile its file; see openKeyring.
	SecretKey, SecretKeyFile string
	// BlobURL is where files and payloads that are too large for the bus are kept;
	// see store.OpenBlobs. All processes share it; empty is a folder in DataDir, if
	// this process is alone.
	BlobURL string
	// PublicURL is where providers reach this installation.
	PublicURL string
	// AlertSMTP is the mail server by which agents are told of new messages; see
	// openMail. None when it is empty.
	AlertSMTP string
	// PrivateWebhooks lets tenants' webhooks be called at addresses that are not
	// public, and by plain http.
	PrivateWebhooks bool
	// Listen is the address of webhooks and health checks; MetricsListen that of
	// the metrics, which are on Listen when it is empty.
	Listen, MetricsListen string
	// APIListen is the address of the API for people and programs, none when it is
	// empty; APIURL where they reach it, http:// and that address when it is empty.
	APIListen, APIURL string
	// TrustedProxies are the networks of the proxies in front of the API, with
	// commas, empty for none; RateLimit is how many requests a second each user and
	// each token may make, 0 for any number.
	TrustedProxies string
	RateLimit      float64
	// OIDC is who else vouches for people; nobody where its Issuer is empty. Its
	// RedirectURL follows from APIURL.
	OIDC access.OIDCOptions
	// Notice is where people read what is told once, such as the first owner's
	// link; nil when nobody reads it.
	Notice io.Writer
	Roles  roles
	// Partitions is how many inbound streams a new bus gets; 0 for the default.
	Partitions int
	// NATSReplicas is how many servers of an external NATS keep each stream; 0 for as
	// it is.
	NATSReplicas int
	// BusRoom is how much the bus may hold of what was accepted, in bytes, 0 for the
	// default; BusRetention how long it is kept once it was stored, 7 days by default.
	BusRoom      int64
	BusRetention time.Duration
	NoMigrate    bool
	Version      string
	Logger       *slog.Logger
	// Traces are where spans go; nil for nowhere. Run closes them.
	Traces *traces
	// SendDeadline is how long one request to a provider may take, 20 s by
	// default; see dispatcher.Options.
	SendDeadline time.Duration
	// Sandbox is the address of the stand-in providers, for people to find.
	Sandbox string
	// Phones is where the clients' side of the demo is played, empty for nowhere.
	Phones string
	// DrainDelay is how long a server that was asked to stop goes on as before while
	// /readyz says that it is stopping, so that nobody is sent here any more.
	DrainDelay time.Duration
	// StopTimeout is how long the shutdown may take, 30 s by default.
	StopTimeout time.Duration
	// Started is called once, when everything is ready, on a goroutine of its own
	// that the shutdown waits for; optional.
	Started func(ctx context.Context, r *Running)
}

// Running is a server that is ready.
type Running struct {
	Desk   *desk.Desk
	Guard  *access.Guard
	Socket string
	Listen string
	// Pages is where people work, empty when nowhere.
	Pages string
	// NATS is the embedded server's credentials, nil with an external one.
	NATS        *jetstream.Credentials
	DatabaseURL string
}

// The roles a process can play.
const (
	roleGateway    = "gateway"
	roleRouter     = "router"
	roleDispatcher = "dispatcher"
	roleAPI        = "api"
)

var allRoles = []string{roleGateway, roleRouter, roleDispatcher, roleAPI}

// roles are those that this process plays.
type roles []string

func parseRoles(text string) (roles, error) {
	var rs roles
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(allRoles, name) {
			return nil, fmt.Errorf("there is no role %q; the roles are %s", name, strings.Join(allRoles, ", "))
		}
		if !slices.Contains(rs, name) {
			rs = append(rs, name)
		}
	}
	return rs, nil
}

func (r roles) has(role string) bool { return slices.Contains(r, role) }

// needDatabase reports whether any role but the gateway is played.
func (r roles) needDatabase() bool { return len(r) > 1 || !r.has(roleGateway) }

// server is one running process. Its fields are set before, or by, the goroutine
// that uses them; what several read is atomic.
type server struct {
	cfg   Config
	log   *slog.Logger
	since time.Time
	keys  *inbox.Keyring
	// keyTrouble is why the changed keys cannot be used, as it was logged last.
	keyTrouble string
	ready      *readiness
	reg        *prometheus.Registry

	// fail ends the server with an error.
	fail context.CancelCauseFunc

	embedded *jetstream.Embedded
	bus      *jetstream.Bus
	// db is nil until the database was reached once, url its URL.
	db  atomic.Pointer[store.DB]
	url atomic.Pointer[string]

	desk atomic.Pointer[desk.Desk]

	socket string
	listen net.Listener
	// api is nil without APIListen.
	api net.Listener
	// proxies are believed where the API's requests come from.
	proxies access.Proxies
	// metrics is their own address, empty when they are on listen.
	metrics string
	// webhooks and operator answer requests once there is somebody to.
	webhooks, operator, public atomic.Pointer[http.Handler]
	// links answers providers that fetch our files.
	links atomic.Pointer[http.Handler]
	// streams ends the streams of facts, which would outlast a shutdown.
	streams context.Context

	work sync.WaitGroup
	pg   *localpg.Server
	// blobs is nil where none are shared; without it there are no files.
	blobs store.Blobs
	// mail tells agents of new messages; nil without AlertSMTP.
	mail func(ctx context.Context, to, subject, text string) error
	// mediaLinks is nil without blobs.
	mediaLinks *gateway.MediaLinks
}

// Run starts a server and keeps it running until ctx ends or something makes it
// pointless; then it stops everything in order. It returns nil when it was asked
// to stop and did in time.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.StopTimeout <= 0 {
		cfg.StopTimeout = 30 * time.Second
	}
	if len(cfg.Roles) == 0 {
		cfg.Roles = allRoles
	}
	if err := cfg.check(); err != nil {
		return err
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	cfg.DataDir = dir
	if err := makeDataDir(dir); err != nil {
		return err
	}
	defer cfg.Traces.close(context.WithoutCancel(ctx))
	s := &server{cfg: cfg, log: cfg.Logger, since: time.Now(), reg: newRegistry(cfg.Version)}
	if s.keys, err = openKeyring(&cfg); err != nil {
		return err
	}
	if s.mail, err = openMail(cfg.AlertSMTP); err != nil {
		return err
	}
	if s.blobs, err = openBlobs(ctx, &cfg); err != nil {
		return err
	}
	if s.blobs != nil {
		defer func() { _ = s.blobs.Close() }() // every blob was synced by itself
		if s.mediaLinks, err = newMediaLinks(&cfg, s.keys, s.blobs); err != nil {
			return err
		}
	}
	return s.run(ctx)
}

func (c *Config) check() error {
	if c.DataDir == "" {
		return errors.New("no data folder is given")
	}
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
			return &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("%q is not a public URL.", c.PublicURL),
				Hint: "It looks like https://inbox.example.com.",
			}
		}
		c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	}
	return nil
}

func (s *server) run(ctx context.Context) (err error) {
	asked := ctx
	ctx, s.fail = context.WithCancelCause(ctx)
	defer s.fail(nil)
	missing := map[string]string{"nats": "NATS is starting."}
	if s.cfg.Roles.needDatabase() {
		missing["postgres"] = "PostgreSQL is starting."
	}
	s.ready = newReadiness(missing)

	// The listeners first: a port that is taken is found before anything starts.
	stopHTTP, err := s.serveHTTP(ctx)
	if err != nil {
		return err
	}
	stopAPI, err := s.serveOperator(ctx)
	if err != nil {
		stopHTTP(context.WithoutCancel(ctx))
		return err
	}
	stopPublic, err := s.servePublic(ctx)
	if err != nil {
		stopAPI(context.WithoutCancel(ctx))
		stopHTTP(context.WithoutCancel(ctx))
		return err
	}
	// Roles outlive ctx by the time that an orderly stop takes.
	gatewayCtx, stopGateway := context.WithCancel(context.WithoutCancel(ctx))
	rolesCtx, stopRoles := context.WithCancel(context.WithoutCancel(ctx))
	defer stopGateway()
	defer stopRoles()

	if err = s.startBus(ctx); err == nil {
		err = s.start(ctx, gatewayCtx, rolesCtx)
	}
	if err == nil {
		<-ctx.Done()
		if asked.Err() == nil {
			err = context.Cause(ctx)
		}
	} else if asked.Err() != nil {
		err = nil // it was asked to stop while it started
	}

	// Then what accepts, then what works, then what they work on.
	s.log.Info("stopping", "drain_delay", s.cfg.DrainDelay)
	s.ready.lacks("stopping", "The server is stopping.")
	if err == nil && s.cfg.DrainDelay > 0 {
		time.Sleep(s.cfg.DrainDelay)
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.StopTimeout)
	defer cancel()
	stopAPI(late)
	stopPublic(late)
	stopGateway()
	stopHTTP(late)
	stopRoles()
	return errors.Join(err, s.close(late))
}

// start begins the roles; those that need the database wait for it by
// themselves.
func (s *server) start(ctx, gatewayCtx, rolesCtx context.Context) error {
	s.work.Go(func() { s.watchKeys(rolesCtx) })
	if s.cfg.Roles.has(roleGateway) {
		if err := s.startGateway(gatewayCtx); err != nil {
			return err
		}
	}
	if s.cfg.Roles.needDatabase() {
		s.work.Go(func() {
			if err := s.startDatabase(ctx, rolesCtx); err != nil && ctx.Err() == nil {
				s.fail(err)
			}
		})
	}
	where := place{PID: os.Getpid(), Socket: s.socket, Listen: s.listen.Addr().String(), Sandbox: s.cfg.Sandbox, Since: s.since}
	if err := where.save(s.cfg.DataDir); err != nil {
		return err
	}
	if s.cfg.Started != nil {
		s.work.Go(func() {
			if s.awaitReady(ctx) == nil {
				s.cfg.Started(ctx, s.running())
			}
		})
	}
	s.work.Go(func() {
		if s.awaitReady(ctx) == nil {
			s.log.Info("ready", "took", time.Since(s.since).Round(time.Millisecond), "listen", where.Listen, "socket", s.socket)
		}
	})
	return nil
}

func (s *server) awaitReady(ctx context.Context) error {
	for {
		missing, changed := s.ready.state()
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *server) running() *Running {
	r := &Running{Desk: s.desk.Load(), Socket: s.socket, Listen: s.listen.Addr().String(), Pages: s.apiURL()}
	r.Guard = s.guard(r.Desk.Store)
	if s.embedded != nil {
		creds := s.embedded.Credentials()
		r.NATS = &creds
	}
	if url := s.url.Load(); url != nil {
		r.DatabaseURL = *url
	}
	return r
}

// close waits for the roles, at most until late ends, and closes what they used.
func (s *server) close(late context.Context) error {
	var errs []error
	if err := waitFor(late, &s.work); err != nil {
		errs = append(errs, fmt.Errorf("stopping: some work did not end in time: %w", err))
	}
	if db := s.db.Load(); db != nil && len(errs) == 0 {
		db.Close() // waits for connections in use
	}
	if s.bus != nil {
		s.bus.Close()
	}
	if s.embedded != nil {
		errs = append(errs, s.embedded.Shutdown(late))
	}
	if s.pg != nil {
		errs = append(errs, s.pg.Stop(late))
	}
	if err := os.Remove(filepath.Join(s.cfg.DataDir, placeFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	if err == nil {
		s.log.Info("stopped")
	}
	return err
}

func waitFor(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// status is what the operator's API says of this process.
func (s *server) status(context.Context) api.Status {
	missing, _ := s.ready.state()
	if missing == nil {
		missing = []string{}
	}
	places := map[string]string{"data": s.cfg.DataDir, "listen": s.listen.Addr().String(), "socket": s.socket}
	if s.embedded != nil {
		places["nats"] = s.embedded.Credentials().URL
	} else {
		places["nats"] = "external"
	}
	places["postgres"] = "external"
	if s.cfg.DatabaseURL == "" {
		places["postgres"] = filepath.Join(s.cfg.DataDir, "postgres")
	}
	if s.api != nil {
		places["api"] = s.apiURL()
	}
	if s.metrics != "" {
		places["metrics"] = s.metrics
	}
	if s.cfg.Sandbox != "" {
		places["sandbox"] = s.cfg.Sandbox
	}
	return api.Status{
		Version: s.cfg.Version, Since: s.since, Roles: s.cfg.Roles, Ready: len(missing) == 0, Missing: missing, Places: places,
	}
}
