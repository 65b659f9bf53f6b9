package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"parley/events/jetstream"
	"parley/inbox"
	"parley/inbox/router"
	"parley/store"
	"parley/store/localpg"
)

func migrateCmd(a *app) *cobra.Command {
	var f serveFlags
	var adopt bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to this version",
		Long: `Brings the schema up to this version, in the database of --database-url or in the private one of a
server that does not run. A server does the same when it starts, unless told --no-migrate.

With --adopt-streams it then accepts the streams of NATS as they are: after NATS, but not the database,
was set up anew or restored from a backup. What was lost with it is not made good by that.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.config(cmd, a, defaultDataDir())
			if err != nil {
				return err
			}
			return migrate(cmd, &cfg, adopt)
		},
	}
	f.logs, f.levels = "text", "info"
	f.addExternal(cmd)
	cmd.Flags().BoolVar(&adopt, "adopt-streams", false, "accept the streams of NATS as they are")
	return cmd
}

func migrate(cmd *cobra.Command, cfg *Config, adopt bool) (err error) {
	ctx := cmd.Context()
	url := cfg.DatabaseURL
	if url == "" {
		if err := makeDataDir(cfg.DataDir); err != nil {
			return err
		}
		pg, err := localpg.Start(ctx, localpg.Options{DataDir: filepath.Join(cfg.DataDir, "postgres")})
		if errors.Is(err, localpg.ErrInUse) {
			return &inbox.Error{
				Code: inbox.Conflict, Message: fmt.Sprintf("The server of %s runs, and migrated its database when it started.", cfg.DataDir),
				Hint: "Stop it to do this by hand.", Err: err,
			}
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, pg.Stop(context.WithoutCancel(ctx))) }()
		url = pg.URL()
	}
	applied, err := store.Migrate(ctx, url)
	if err != nil {
		return err
	}
	words := "The schema is up to date."
	if len(applied) > 0 {
		words = fmt.Sprintf("Applied %s: %s.", plural(int64(len(applied)), "migration"), strings.Join(applied, ", "))
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), words); err != nil || !adopt {
		return err
	}
	if err := adoptStreams(ctx, cfg, url); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "The streams were accepted as they are.")
	return err
}

func adoptStreams(ctx context.Context, cfg *Config, url string) (err error) {
	opts := jetstream.Options{URL: cfg.NATSURL, Partitions: cfg.Partitions}
	if opts.URL == "" {
		opts.Embedded, err = jetstream.Embed(ctx, jetstream.EmbedOptions{DataDir: filepath.Join(cfg.DataDir, "nats")})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, opts.Embedded.Shutdown(context.WithoutCancel(ctx))) }()
	}
	bus, err := jetstream.Open(ctx, opts)
	if err != nil {
		return err
	}
	defer bus.Close()
	db, err := store.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return router.AdoptStreams(ctx, db, bus)
}
