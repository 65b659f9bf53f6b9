package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"parley/events/jetstream"
	"parley/inbox"
	"parley/store"
	"parley/store/localpg"
)

func restoreCmd(a *app) *cobra.Command {
	var f serveFlags
	var databaseOnly bool
	cmd := &cobra.Command{
		Use:   "restore FOLDER",
		Short: "Bring a backup back, into an empty place",
		Long: `Checks a backup that parley backup made, and restores it: into a data folder that holds nothing yet, or
with --database-url and --nats-url into an empty database and a NATS without streams of Parley's. It needs
the secret key that the backed up server had, unless the backup has it.

With --database-only the database alone is restored, and NATS and files stay as they are: what was accepted
since the backup is on the bus and is stored again. NATS has to be the one that was backed up.

What was still to be sent when the backup was made may have been sent since: it becomes uncertain, and
people decide.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := f.config(cmd, a, defaultDataDir())
			if err != nil {
				return err
			}
			cfg.Roles = allRoles
			held, err := restore(cmd.Context(), a, cfg, args[0], databaseOnly)
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), map[string]any{"held": held})
			}
			words := ""
			if held > 0 {
				words = fmt.Sprintf("%s may have been sent since and wait for somebody's decision: parley deliveries\n", plural(held, "reply"))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Restored.\n%sStart the server, then prove it: parley audit\n", words)
			return err
		},
	}
	f.logs, f.levels = "text", "info"
	f.addExternal(cmd)
	f.addStorage(cmd)
	cmd.Flags().BoolVar(&databaseOnly, "database-only", false, "only the database was lost: leave NATS and files as they are")
	return cmd
}

// restore brings back the backup in dir, or only its database; held counts the replies
// that may have been sent since it was made.
func restore(ctx context.Context, a *app, cfg Config, dir string, databaseOnly bool) (held int64, err error) {
	m, err := readBackup(dir)
	if err != nil {
		return 0, err
	}
	if m.Format > backupFormat || m.Schema > store.NewestSchema() {
		return 0, &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("The backup was made by a newer Parley (%s, schema %d).", m.Program, m.Schema),
			Hint: "Restore it with that version or a later one.",
		}
	}
	empty := []string{"postgres", "nats", "blobs"}
	if databaseOnly {
		empty = empty[:1]
	}
	if err := restoreTarget(ctx, a, &cfg, empty); err != nil {
		return 0, err
	}
	if err := makeDataDir(cfg.DataDir); err != nil {
		return 0, err
	}
	if err := restoreKey(&cfg, dir, m); err != nil {
		return 0, err
	}
	bus := cfg.NATSURL
	if bus == "" {
		embedded, err := jetstream.Embed(ctx, jetstream.EmbedOptions{DataDir: filepath.Join(cfg.DataDir, "nats")})
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, embedded.Shutdown(context.WithoutCancel(ctx))) }()
		if bus, err = jetstream.EmbeddedURL(filepath.Join(cfg.DataDir, "nats")); err != nil {
			return 0, err
		}
	}
	archive, err := jetstream.OpenArchive(bus)
	if err != nil {
		return 0, err
	}
	defer archive.Close()
	if databaseOnly {
		err = sameBus(ctx, archive, m)
	} else {
		err = emptyBus(ctx, archive, m)
	}
	if err != nil {
		return 0, err
	}
	database := cfg.DatabaseURL
	if database == "" {
		pg, err := localpg.Start(ctx, localpg.Options{DataDir: filepath.Join(cfg.DataDir, "postgres")})
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, pg.Stop(context.WithoutCancel(ctx))) }()
		database = pg.URL()
	}
	db, err := restoreDatabase(ctx, database, dir, m)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	if databaseOnly {
		return db.HoldRestored(ctx)
	}
	for _, s := range m.Streams {
		if err := loadStream(ctx, archive, dir, s); err != nil {
			return 0, err
		}
		now, err := archive.Identity(ctx, s.Stream)
		if err != nil {
			return 0, err
		}
		if err := db.MoveStream(ctx, s.Stream, s.Identity, now); err != nil {
			return 0, err
		}
	}
	if held, err = db.HoldRestored(ctx); err != nil {
		return 0, err
	}
	return held, restoreBlobs(ctx, &cfg, dir, m)
}

// restoreTarget refuses a data folder in which something is where it has to be empty.
func restoreTarget(ctx context.Context, a *app, cfg *Config, empty []string) error {
	running, err := a.dial(ctx, cfg.DataDir)
	if err != nil {
		return err
	}
	if running != nil {
		return &inbox.Error{Code: inbox.Conflict, Message: fmt.Sprintf("A Parley server runs in %s.", cfg.DataDir), Hint: "Name another folder with --data-dir, or stop it and move its folder away."}
	}
	for _, sub := range empty {
		entries, err := os.ReadDir(filepath.Join(cfg.DataDir, sub))
		if err == nil && len(entries) > 0 {
			return &inbox.Error{
				Code: inbox.Conflict, Message: fmt.Sprintf("The data folder is not empty: there is %s.", filepath.Join(cfg.DataDir, sub)),
				Hint: "Restore into a new one, with --data-dir. Nothing was changed.",
			}
		}
	}
	return nil
}

// restoreKey makes sure that the key is the one that sealed what the backup holds.
func restoreKey(cfg *Config, dir string, m manifest) error {
	if cfg.SecretKey == "" && cfg.SecretKeyFile == "" {
		cfg.SecretKeyFile = filepath.Join(dir, keyFile)
		if _, err := os.Stat(cfg.SecretKeyFile); err != nil {
			return &inbox.Error{
				Code: inbox.Invalid, Message: "The backup does not hold the secret key.",
				Hint: "Give the key that the server had, with --secret-key-file or PARLEY_SECRET_KEY: the channels' credentials are sealed with it.",
			}
		}
	}
	keys, err := openKeyring(cfg)
	if err != nil {
		return err
	}
	for _, id := range append([]string{m.Key}, m.Keys...) {
		if keys.Key(id) == nil {
			return &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("What the backup holds was sealed with another secret key, %s; given are %s.", id, strings.Join(keys.IDs(), ", ")),
				Hint: "The channels' credentials cannot be opened without it: find the copy of that key, and give it as a further line behind those of now.",
			}
		}
	}
	if cfg.DatabaseURL != "" {
		return nil // it is given to each process
	}
	text, err := secretKeyText(cfg)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(cfg.DataDir, keyFile), []byte(text), 0o600); err != nil {
		return fmt.Errorf("keeping the secret key: %w", err)
	}
	return nil
}

// emptyBus refuses a NATS that has streams of Parley's, or is older than the one
// whose files the backup has.
func emptyBus(ctx context.Context, archive *jetstream.Archive, m manifest) error {
	before, after, err := archive.Streams(ctx)
	if err != nil {
		return err
	}
	if all := append(before, after...); len(all) > 0 {
		return &inbox.Error{
			Code: inbox.Conflict, Message: "NATS has streams of Parley's already: " + strings.Join(all, ", ") + ".",
			Hint: "Use an empty NATS or account. Where only the database was lost, say --database-only: what is on the bus is stored again, from where the database is.",
		}
	}
	if olderVersion(archive.ServerVersion(), m.NATS) {
		return &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("This NATS is version %s, the backup was made with %s.", archive.ServerVersion(), m.NATS),
			Hint: "An older server may not read what a newer one wrote: use that version or a later one.",
		}
	}
	return nil
}

// sameBus refuses a NATS that is not the one of the backup: what was accepted since
// would be missing, or be another installation's.
func sameBus(ctx context.Context, archive *jetstream.Archive, m manifest) error {
	_, have, err := archive.Streams(ctx)
	if err != nil {
		return err
	}
	for _, s := range m.Streams {
		if !slices.Contains(have, s.Stream) {
			continue // made anew without harm, or refused below
		}
		is, err := archive.Identity(ctx, s.Stream)
		if err != nil {
			return err
		}
		if is != s.Identity {
			return &inbox.Error{
				Code: inbox.Conflict, Message: "This is not the NATS that the backup was made with: " + s.Stream + " is another stream.",
				Hint: "Connect the right one. If it was lost, too, restore everything, into an empty NATS, without --database-only.",
			}
		}
	}
	if len(have) == 0 {
		return &inbox.Error{
			Code: inbox.Conflict, Message: "This NATS has no streams of Parley's.",
			Hint: "Connect the one that the backup was made with. If it was lost, too, restore everything, without --database-only.",
		}
	}
	return nil
}

// olderVersion compares the first two numbers.
func olderVersion(have, want string) bool {
	part := func(v string, i int) int {
		parts := strings.Split(strings.TrimPrefix(v, "v"), ".")
		if i >= len(parts) {
			return 0
		}
		n, _ := strconv.Atoi(parts[i]) // what is no number is 0
		return n
	}
	if a, b := part(have, 0), part(want, 0); a != b {
		return a < b
	}
	return part(have, 1) < part(want, 1)
}

func restoreDatabase(ctx context.Context, url, dir string, m manifest) (*store.DB, error) {
	if err := store.PrepareRestore(ctx, url); err != nil {
		return nil, err
	}
	e, err := store.Examine(ctx, url)
	if err != nil {
		return nil, err
	}
	if e.Version/10000 < m.Postgres/10000 {
		return nil, &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("This PostgreSQL is version %d, the backup was made from %d.", e.Version/10000, m.Postgres/10000),
			Hint: "Use that version or a later one.",
		}
	}
	err = postgresProgram(ctx, e.Version/10000, io.Discard, "pg_restore", "--no-owner", "--exit-on-error", "--single-transaction", "--no-password",
		"--dbname", url, filepath.Join(dir, databaseFile))
	if err != nil {
		return nil, err
	}
	if err := store.LeapFacts(ctx, url); err != nil {
		return nil, err
	}
	return store.Open(ctx, url, nil)
}

func loadStream(ctx context.Context, archive *jetstream.Archive, dir string, s jetstream.Snapshot) error {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(streamFile(s.Stream)))) //nolint:gosec // the operator names the folder
	if err != nil {
		return err
	}
	defer f.Close()
	return archive.Load(ctx, s, f)
}

func restoreBlobs(ctx context.Context, cfg *Config, dir string, m manifest) error {
	blobs, err := openBlobs(ctx, cfg)
	if err != nil || blobs == nil {
		return err
	}
	defer func() { _ = blobs.Close() }() // every blob was synced by itself
	for _, p := range m.Files {
		key, ok := strings.CutPrefix(p.Name, blobsFolder+"/")
		if !ok {
			continue
		}
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(p.Name))) //nolint:gosec // local, as readBackup checked
		if err != nil {
			return err
		}
		err = blobs.Put(ctx, key, f)
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("restoring a file: %w", err)
		}
	}
	return nil
}
