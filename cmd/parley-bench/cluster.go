package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/localpg"
)

// cluster is the PostgreSQL of one run, fsync on, with Parley's schema.
type cluster struct {
	opts   localpg.Options
	server *localpg.Server
	// pool acts as the workers do, so that it sees every tenant.
	pool *pgxpool.Pool
	db   *store.DB
}

// newCluster starts PostgreSQL with the defaults that `parley serve` runs its
// own with, and commit times besides, which are how the time of a commit is told.
func newCluster(ctx context.Context, dir string, s settings) (*cluster, error) {
	c := &cluster{opts: localpg.Options{
		DataDir:  filepath.Join(dir, "postgres"),
		Settings: map[string]string{"track_commit_timestamp": "on", "track_wal_io_timing": "on"},
	}}
	if s.profile {
		c.opts.Settings["shared_preload_libraries"] = "pg_stat_statements"
		c.opts.Settings["pg_stat_statements.track_planning"] = "on"
	}
	if s.explain > 0 {
		c.opts.Settings["session_preload_libraries"] = "auto_explain"
		c.opts.Settings["auto_explain.log_min_duration"] = strconv.FormatInt(s.explain.Milliseconds(), 10)
		c.opts.Settings["auto_explain.log_analyze"] = "on"
	}
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	if err := c.migrate(ctx, s); err != nil {
		return nil, errors.Join(err, c.close())
	}
	cfg, err := pgxpool.ParseConfig(c.server.URL())
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SET ROLE parley_worker")
		return err
	}
	cfg.MaxConns = 8
	if c.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if c.db, err = store.Open(ctx, c.server.URL(), &store.Options{WorkerConns: 4, APIConns: 4}); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// migrate makes the schema: that of the earlier version, if one is to be upgraded.
func (c *cluster) migrate(ctx context.Context, s settings) error {
	if s.from == "" {
		_, err := store.Migrate(ctx, c.server.URL())
		return err
	}
	out, err := exec.CommandContext(ctx, s.from, "migrate", "--database-url", c.server.URL()).CombinedOutput() //nolint:gosec // the operator's choice
	if err != nil {
		return fmt.Errorf("%s migrate: %w: %s", s.from, err, out)
	}
	return nil
}

// start starts the server, again after a stop or a kill.
func (c *cluster) start(ctx context.Context) (err error) {
	c.server, err = localpg.Start(ctx, c.opts)
	return err
}

func (c *cluster) close() error {
	if c.pool != nil {
		c.pool.Close()
	}
	if c.db != nil {
		c.db.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return c.server.Stop(ctx)
}

// asOwner runs statements that only the tables' owner may run.
func (c *cluster) asOwner(ctx context.Context, statements ...string) error {
	conn, err := c.connect(ctx, localpg.Role)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// connect logs in as a role: the tables' owner, or postgres, the administrator,
// as whom root and the server's own user may log in.
func (c *cluster) connect(ctx context.Context, role string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(c.server.URL())
	if err != nil {
		return nil, err
	}
	cfg.User = role
	return pgx.ConnectConfig(ctx, cfg)
}

// bot is the connected Telegram bot that a run goes through.
type bot struct {
	channel events.Channel
	token   string
	secret  string
	key     string // of the keyring
}

// addBot connects a bot to the oldest tenant. Nobody is asked whether its token is
// right; the gateways find it when they start.
func (c *cluster) addBot(ctx context.Context, token, apiURL string) (bot, error) {
	b := bot{token: token, secret: "bench-secret", key: inbox.NewKey()}
	b.channel = events.Channel{
		ID: "018f0000-0000-7000-8000-00000000b07a", Transport: events.Telegram, Name: "Bench",
		Mode: events.Webhook, WebhookPath: "bench-0123456789abcdef0123456789abcdef",
		// The provider's own limits are not what is measured.
		Settings: map[string]string{"api_url": apiURL, "rate": "0", "person_rate": "0"},
	}
	var err error
	b.channel, err = c.addChannel(ctx, b.key, b.channel, map[string]string{"token": token, "webhook_secret": b.secret})
	return b, err
}

// addChannel connects an account to the oldest tenant, its secrets sealed with
// that key.
func (c *cluster) addChannel(ctx context.Context, key string, ch events.Channel, secrets map[string]string) (events.Channel, error) {
	tenant, err := c.db.EnsureTenant(ctx, "Bench")
	if err != nil {
		return ch, err
	}
	ch.Tenant = tenant.ID
	keys, err := inbox.ParseKey(key)
	if err != nil {
		return ch, err
	}
	if ch.Sealed, err = keys.Seal(string(ch.ID), secrets); err != nil {
		return ch, err
	}
	_, err = c.db.CreateChannel(ctx, ch, "", "")
	return ch, err
}
