package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"parley/events/jetstream"
	"parley/inbox"
	"parley/store"
	"parley/store/localpg"
)

func backupCmd(a *app) *cobra.Command {
	var f serveFlags
	var withKey, noBlobs bool
	cmd := &cobra.Command{
		Use:   "backup FOLDER",
		Short: "Copy everything into a folder, while the server runs",
		Long: `Copies the database, what is on the bus, and the files of a blob folder into a new folder, and reads
everything again to be sure. The server goes on working meanwhile. Give it the flags and the environment
that the server gets. Files in an S3 bucket are not copied: buckets have their own versions and copies.

The secret key is left out, because whoever has both can read every channel's credentials: keep it
elsewhere, or say --with-key.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := f.config(cmd, a, defaultDataDir())
			if err != nil {
				return err
			}
			cfg.Roles = allRoles
			m, err := backup(cmd.Context(), a, cfg, args[0], withKey, !noBlobs)
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), m)
			}
			var size int64
			for _, p := range m.Files {
				size += p.Size
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Backed up %s (%s) to %s, and read them again.\nRestore into an empty place: parley restore %s --data-dir FOLDER\n",
				plural(int64(len(m.Files)), "file"), humanize.IBytes(uint64(size)), args[0], shellQuote(args[0]))
			return err
		},
	}
	f.logs, f.levels = "text", "info"
	f.addExternal(cmd)
	f.addStorage(cmd)
	cmd.Flags().BoolVar(&withKey, "with-key", false, "copy the secret key, too")
	cmd.Flags().BoolVar(&noBlobs, "no-blobs", false, "leave files out")
	return cmd
}

// services are the URLs of the database and the bus that a server with cfg uses.
func services(ctx context.Context, a *app, cfg *Config) (database, bus string, err error) {
	database, bus = cfg.DatabaseURL, cfg.NATSURL
	if database != "" && bus != "" {
		return database, bus, nil
	}
	running, err := a.dial(ctx, cfg.DataDir)
	if err != nil {
		return "", "", err
	}
	if running == nil {
		return "", "", &inbox.Error{
			Code: inbox.Unavailable, Message: fmt.Sprintf("No Parley server runs in %s.", cfg.DataDir),
			Hint: "Start it. Or copy the whole data folder: while nothing runs in it, the copy is a backup.",
		}
	}
	if database == "" {
		if database, err = localpg.URLOf(filepath.Join(cfg.DataDir, "postgres")); err != nil {
			return "", "", fmt.Errorf("finding the private PostgreSQL: %w", err)
		}
	}
	if bus == "" {
		if bus, err = jetstream.EmbeddedURL(filepath.Join(cfg.DataDir, "nats")); err != nil {
			return "", "", err
		}
	}
	return database, bus, nil
}

// backup makes dir, which appears under its name once it is whole.
func backup(ctx context.Context, a *app, cfg Config, dir string, withKey, withBlobs bool) (m manifest, err error) {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return m, &inbox.Error{Code: inbox.Conflict, Message: dir + " is there already.", Hint: "Name a new folder, such as one with today's date."}
	}
	database, busURL, err := services(ctx, a, &cfg)
	if err != nil {
		return m, err
	}
	keys, err := openKeyring(&cfg)
	if err != nil {
		return m, err
	}
	db, err := store.Examine(ctx, database)
	if err != nil {
		return m, err
	}
	bus, err := jetstream.OpenArchive(busURL)
	if err != nil {
		return m, err
	}
	defer bus.Close()
	part := dir + ".partial"
	if err := os.Mkdir(part, 0o700); err != nil {
		return m, fmt.Errorf("making the backup: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(part)
		}
	}()
	b := &backupWriter{dir: part, m: &m, bus: bus}
	m = manifest{Format: backupFormat, Made: time.Now().UTC(), Program: cfg.Version, Schema: db.Schema, Postgres: db.Version, NATS: bus.ServerVersion(), Key: keys.Current().ID}
	// Before and behind the dump: what is sealed anew meanwhile may be in it either way.
	needed, err := keysNeeded(ctx, database, db.Schema, keys, nil)
	if err != nil {
		return m, err
	}
	before, after, err := bus.Streams(ctx)
	if err != nil {
		return m, err
	}
	// Cursors and facts first: ahead of the database, a cursor would skip what is not
	// stored. What was accepted last: behind it, a stored message would have no record.
	if err := b.streams(ctx, before); err != nil {
		return m, err
	}
	if err := b.database(ctx, database, db.Version/10000); err != nil {
		return m, err
	}
	if err := b.streams(ctx, after); err != nil {
		return m, err
	}
	if withBlobs && !strings.HasPrefix(cfg.BlobURL, "s3:") {
		if err := b.blobs(ctx, &cfg); err != nil {
			return m, err
		}
	}
	if m.Keys, err = keysNeeded(ctx, database, db.Schema, keys, needed); err != nil {
		return m, err
	}
	if withKey {
		text, err := secretKeyText(&cfg)
		if err != nil {
			return m, err
		}
		if err := b.write(keyFile, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
			return m, err
		}
	}
	data, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return m, err
	}
	if err := os.WriteFile(filepath.Join(part, manifestFile), data, 0o600); err != nil {
		return m, fmt.Errorf("writing the manifest: %w", err)
	}
	if _, err := readBackup(part); err != nil {
		return m, fmt.Errorf("what was written cannot be read again: %w", err)
	}
	if err := os.Rename(part, dir); err != nil {
		return m, fmt.Errorf("naming the backup: %w", err)
	}
	return m, syncDir(filepath.Dir(dir))
}

// keysNeeded are the IDs of those of the keys without which something in the database
// cannot be opened, and of those that were needed before.
func keysNeeded(ctx context.Context, url string, schema int64, keys *inbox.Keyring, before []string) ([]string, error) {
	if schema < store.SealedSchema {
		return keys.IDs(), nil
	}
	db, err := store.Open(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	counts, err := db.SealedCounts(ctx)
	if err != nil {
		return nil, err
	}
	needed := append(before, keys.Current().ID)
	for _, c := range counts {
		switch {
		case c.Key == "":
			needed = append(needed, keys.IDs()...) // any may have sealed it
		case keys.Key(c.Key) != nil: // what cannot be opened now will not be later
			needed = append(needed, c.Key)
		}
	}
	slices.Sort(needed)
	return slices.Compact(needed), nil
}

// backupWriter writes a backup's files and notes them.
type backupWriter struct {
	dir string
	m   *manifest
	bus *jetstream.Archive
}

// write makes a file, synced, and notes it.
func (b *backupWriter) write(name string, f func(io.Writer) error) (err error) {
	path := filepath.Join(b.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	sum := sha256.New()
	count := &counter{}
	err = f(io.MultiWriter(file, sum, count))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	b.m.Files = append(b.m.Files, backupPart{Name: name, Size: count.n, SHA256: hex.EncodeToString(sum.Sum(nil))})
	return nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func (b *backupWriter) streams(ctx context.Context, names []string) error {
	for _, name := range names {
		err := b.write(streamFile(name), func(w io.Writer) error {
			s, err := b.bus.Save(ctx, name, w)
			b.m.Streams = append(b.m.Streams, s)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// database dumps as the role that may read every tenant's rows and change nothing.
func (b *backupWriter) database(ctx context.Context, url string, major int) error {
	err := b.write(databaseFile, func(w io.Writer) error {
		return postgresProgram(ctx, major, w, "pg_dump", "--role=parley_backup", "--enable-row-security", "--format=custom", "--no-password", "--dbname", url)
	})
	if err != nil {
		return err
	}
	var list bytes.Buffer
	if err := postgresProgram(ctx, major, &list, "pg_restore", "--list", filepath.Join(b.dir, databaseFile)); err != nil {
		return err
	}
	if !strings.Contains(list.String(), "TABLE DATA public crm_chat_messages") {
		return errors.New("the dump does not hold the messages")
	}
	return nil
}

// postgresProgram runs one of PostgreSQL's programs, of the server's version or a newer one.
func postgresProgram(ctx context.Context, major int, out io.Writer, name string, args ...string) error {
	install, err := localpg.Find(ctx, "", major)
	if errors.Is(err, localpg.ErrNotInstalled) {
		install, err = localpg.Find(ctx, "", 0)
	}
	if err != nil {
		return err
	}
	if install.Major < major {
		return &inbox.Error{
			Code: inbox.Unavailable, Message: fmt.Sprintf("The database is PostgreSQL %d, and the newest %s here is of version %d.", major, name, install.Major),
			Hint: fmt.Sprintf("Install the client programs of version %d.", major),
		}
	}
	program, err := install.Program(name)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // found where packages put it
	var words bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &words
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(words.String()))
	}
	return nil
}

func (b *backupWriter) blobs(ctx context.Context, cfg *Config) error {
	blobs, err := openBlobs(ctx, cfg)
	if err != nil || blobs == nil {
		return err
	}
	defer func() { _ = blobs.Close() }() // nothing was written
	return blobs.List(ctx, "", func(info store.BlobInfo) error {
		blob, err := blobs.Open(ctx, info.Key)
		if errors.Is(err, store.ErrNoBlob) {
			return nil // removed meanwhile: nothing names it any more
		}
		if err != nil {
			return err
		}
		defer blob.Close()
		return b.write(blobsFolder+"/"+info.Key, func(w io.Writer) error { _, err := io.Copy(w, blob); return err })
	})
}
