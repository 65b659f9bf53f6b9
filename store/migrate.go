package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"parley/migrations"
)

// Migrate brings the schema up to this binary's version. Several replicas may
// call it at once: a session lock lets one do the work while the others wait.
// It returns the names of the migrations it applied, those before one that
// failed included; each is applied as a whole or not at all. An error that the
// database has advice for ends with it.
//
// Others go on working meanwhile: a migration that waits for a lock, and so makes
// everybody who comes later wait behind it, gives up after [migrationLockWait] and
// is tried again, for [migrationPatience] at most.
func Migrate(ctx context.Context, url string) (applied []string, err error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval, wait.MaxElapsedTime = 200*time.Millisecond, 2*time.Second, migrationPatience
	err = backoff.Retry(func() error {
		more, err := migrate(ctx, url)
		applied = append(applied, more...)
		if err != nil && !gaveWay(err) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(wait, ctx))
	if err != nil && gaveWay(err) {
		err = fmt.Errorf("%w\nSomebody holds a lock for long, such as a transaction left open or a dump; "+
			"find it in pg_stat_activity (state, xact_start), end it, and migrate again", err)
	}
	return applied, err
}

const (
	// migrationLockWait bounds how long a migration's statement stands in front of
	// everybody else. It is shorter than deadlock_timeout, a second: where a migration
	// holds what a router waits for, and the other way round, it is the one that ends.
	migrationLockWait = 500 * time.Millisecond
	migrationPatience = 5 * time.Minute
)

// gaveWay reports that a migration was undone because of what others did.
func gaveWay(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == sqlStateLockNotAvailable || pgErr.Code == sqlStateDeadlock)
}

// sqlStateLockNotAvailable is lock_timeout's
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const sqlStateLockNotAvailable = "55P03"

func migrate(ctx context.Context, url string) (applied []string, err error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	cfg.RuntimeParams["lock_timeout"] = strconv.FormatInt(migrationLockWait.Milliseconds(), 10)
	db := stdlib.OpenDB(*cfg)
	defer func() { _ = db.Close() }()
	provider, err := newProvider(db)
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results = partial.Applied
	}
	for _, r := range results {
		applied = append(applied, r.Source.Path)
	}
	if err != nil {
		return applied, fmt.Errorf("migrating the database: %w%s", err, advice(err))
	}
	return applied, nil
}

// advice is what the database suggests about an error, whose own text leaves it
// out.
func advice(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Hint != "" {
		return "\n" + pgErr.Hint
	}
	return ""
}

// SchemaVersion reports the schema's version and the newest this binary knows.
func SchemaVersion(ctx context.Context, url string) (current, newest int64, err error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return 0, 0, fmt.Errorf("database URL: %w", err)
	}
	db := stdlib.OpenDB(*cfg)
	defer func() { _ = db.Close() }()
	provider, err := newProvider(db)
	if err != nil {
		return 0, 0, err
	}
	return provider.GetVersions(ctx)
}

func newProvider(db *sql.DB) (*goose.Provider, error) {
	// Asked for every second, for ten minutes: replicas that start together are
	// not to wait for long once the first has migrated.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, migrations.FS,
		goose.WithSessionLocker(locker), goose.WithTableName("parley_migrations"))
}

// NewestSchema is the schema's version that this program needs.
func NewestSchema() (newest int64) {
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for _, name := range names {
		if v, err := goose.NumericComponent(name); err == nil {
			newest = max(newest, v)
		}
	}
	return newest
}
