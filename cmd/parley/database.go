package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/cenkalti/backoff/v4"

	"parley/events"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/inbox/dispatcher"
	"parley/inbox/router"
	"parley/store"
	"parley/store/localpg"
)

// startDatabase brings up PostgreSQL and then the roles that need it, which run
// until rolesCtx ends. A database that cannot be reached is waited for until ctx
// ends; an error is one that waiting does not mend.
func (s *server) startDatabase(ctx, rolesCtx context.Context) error {
	url := s.cfg.DatabaseURL
	if url == "" {
		var err error
		if url, err = s.startPrivate(ctx); err != nil {
			return err
		}
	}
	s.url.Store(&url)
	if err := s.prepareSchema(ctx, url); err != nil {
		return err
	}
	db, err := store.Open(ctx, url, &store.Options{Logger: s.log, Tracer: s.cfg.Traces.ofStatements()})
	if err != nil {
		return err
	}
	if err := s.await(ctx, "The database has no key of erasures yet.", func() error {
		err := useErasureKey(ctx, db, s.keys)
		if inbox.CodeOf(err) != "" {
			return backoff.Permanent(err)
		}
		return err
	}); err != nil {
		return err
	}
	s.db.Store(db)
	s.reg.MustRegister(newDatabaseMetrics(db))
	if err := s.await(ctx, "The database has no tenant yet.", func() error {
		tenant, err := db.EnsureTenant(ctx, "Default")
		if err != nil {
			return err
		}
		if _, err = db.EnsureOperator(ctx, tenant.ID); err != nil || s.cfg.DatabaseURL != "" {
			return err
		}
		// The private database is this process's alone: who held a lease is dead.
		return db.EndLeases(ctx)
	}); err != nil {
		return err
	}
	if err := s.inviteOwner(ctx, db); err != nil {
		return err
	}
	if err := s.startRoles(rolesCtx, db); err != nil {
		return err
	}
	s.ready.has("postgres")
	return nil
}

// startPrivate starts the PostgreSQL in the data folder, and starts it again
// when it ends unasked.
func (s *server) startPrivate(ctx context.Context) (url string, err error) {
	start := func() error {
		s.pg, err = localpg.Start(ctx, localpg.Options{DataDir: filepath.Join(s.cfg.DataDir, "postgres"), Logger: s.log.With("part", "postgres")})
		return err
	}
	if err := start(); err != nil {
		return "", err
	}
	url = s.pg.URL()
	s.work.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.pg.Done():
			}
			if ctx.Err() != nil {
				return
			}
			s.log.Error("the private PostgreSQL ended, starting it again", "error", s.pg.Err())
			s.ready.lacks("postgres", "The private PostgreSQL ended and is being started again.")
			_ = s.pg.Stop(ctx) // gives the folder free
			if err := s.await(ctx, "The private PostgreSQL cannot be started again.", start); err != nil {
				return
			}
			if s.pg.URL() != url {
				s.fail(errors.New("the private PostgreSQL came back at another address"))
				return
			}
			s.ready.has("postgres")
		}
	})
	return url, nil
}

// prepareSchema migrates, or with NoMigrate waits until somebody has.
func (s *server) prepareSchema(ctx context.Context, url string) error {
	if s.cfg.NoMigrate {
		return s.await(ctx, "The database is not migrated; run: parley migrate", func() error {
			current, newest, err := store.SchemaVersion(ctx, url)
			if err == nil && current < newest {
				err = fmt.Errorf("the schema has version %d, this program needs %d", current, newest)
			}
			return err
		})
	}
	return s.await(ctx, "PostgreSQL cannot be reached yet; the server keeps trying.", func() error {
		applied, err := store.Migrate(ctx, url)
		if len(applied) > 0 {
			s.log.Info("database migrated", "migrations", applied)
		}
		if err != nil && !store.Unreachable(err) {
			return backoff.Permanent(err)
		}
		return err
	})
}

// await repeats f with growing pauses until it succeeds, ctx ends, or its error
// is permanent; words say meanwhile what is missing.
func (s *server) await(ctx context.Context, words string, f func() error) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval, wait.MaxElapsedTime = 100*time.Millisecond, 5*time.Second, 0
	return backoff.RetryNotify(f, backoff.WithContext(wait, ctx), func(err error, next time.Duration) {
		s.ready.lacks("postgres", words)
		s.log.Warn("waiting for the database", "missing", words, "error", err, "next", next.Round(time.Millisecond))
	})
}

// startRoles starts what works on the database. They end with ctx.
func (s *server) startRoles(ctx context.Context, db *store.DB) error {
	files, err := s.newLibrary(db)
	if err != nil {
		return err
	}
	d := &desk.Desk{
		Files: files,
		Store: db, Bus: s.bus, Keyring: s.keys, Adapters: deskAdapters(providerClient(), s.cfg.PublicURL),
		PublicURL: s.cfg.PublicURL, PrivateWebhooks: s.cfg.PrivateWebhooks, PagesURL: s.apiURL(), Mail: s.mail, Logger: s.log.With("role", roleAPI),
		Tracer: s.cfg.Traces.of(),
	}
	opts := router.Options{
		Store: db, Bus: s.bus, Owner: ownerName(), Reparse: reparse(s.keys, s.blobs, channelOf(db)), Logger: s.log,
		Retention: s.cfg.BusRetention, Tracer: s.cfg.Traces.of(),
	}
	if s.cfg.Roles.has(roleRouter) {
		opts.Registerer = s.reg
	}
	// Before anything is read from the bus: what was erased must not come back.
	if err := s.await(ctx, "NATS does not say what was erased.", func() error { return d.RepeatErasures(ctx) }); err != nil {
		return err
	}
	r := router.New(opts) // the API replays with it
	if s.cfg.Roles.has(roleRouter) {
		s.work.Go(func() {
			if err := r.Run(ctx); err != nil && ctx.Err() == nil {
				s.fail(err)
			}
		})
		s.work.Go(func() { d.IndexSearch(ctx, opts.Owner) })
	}
	if s.cfg.Roles.has(roleDispatcher) {
		s.work.Go(func() { d.Clerk(ctx, opts.Owner) })
		disp, err := dispatcher.New(dispatcher.Options{
			Store: db, Factories: factories(), OpenSecrets: secretsOpener(s.keys), PublicURL: s.cfg.PublicURL,
			Logger: s.log.With("role", roleDispatcher), Registerer: s.reg, Owner: ownerName(),
			SendDeadline: s.cfg.SendDeadline, Tracer: s.cfg.Traces.of(), OpenFile: s.openFile(), FileURL: s.fileURL(),
		})
		if err != nil {
			return err
		}
		s.work.Go(func() { d.RunWebhooks(ctx, opts.Owner) })
		s.work.Go(func() { d.RunAlerts(ctx, opts.Owner) })
		if err := s.startFetcher(ctx, db, files); err != nil {
			return err
		}
		s.work.Go(func() {
			if err := disp.Run(ctx); err != nil && ctx.Err() == nil {
				s.fail(err)
			}
		})
	}
	if s.cfg.Roles.has(roleAPI) {
		s.work.Go(func() { d.ProjectChannels(ctx) })
		s.work.Go(func() { d.WakeChats(ctx) })
		s.work.Go(func() { d.RunPresence(ctx, opts.Owner) })
		s.work.Go(func() { d.RunErasures(ctx, ownerName()) })
		s.serveAPI(ctx, d, r)
	}
	s.desk.Store(d)
	return nil
}

// ownerName names this process's life in leases.
func ownerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:8])
}

// channelOf finds the channel of an event, for replays.
func channelOf(db *store.DB) func(context.Context, *events.Inbound) (events.Channel, error) {
	return func(ctx context.Context, ev *events.Inbound) (events.Channel, error) {
		ch, err := db.Channel(ctx, ev.Tenant, ev.Channel)
		return ch.Channel, err
	}
}

// providerClient calls providers while a person waits.
func providerClient() *http.Client { return &http.Client{Timeout: 30 * time.Second} }
