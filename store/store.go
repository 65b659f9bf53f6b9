package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"parley/events"
)

// Options of a DB; nil or zero fields mean the defaults.
type Options struct {
	// WorkerConns limits the workers' pool, 16 by default; APIConns the agents',
	// 16 by default.
	WorkerConns, APIConns int32
	Logger                *slog.Logger
	// ErasureKey makes the hashes of what was erased; all processes of an
	// installation have the same. Without one, guessing finds out who it was.
	ErasureKey []byte
	// Tracer, if any, sees every statement.
	Tracer pgx.QueryTracer
}

// DB is the database. Its methods may be called from several goroutines.
type DB struct {
	worker *pgxpool.Pool
	api    *pgxpool.Pool
	log    *slog.Logger
	// erasureKey is Options.ErasureKey.
	erasureKey []byte
}

// Open prepares the pools for a migrated database; connections are made when
// first needed, so that a database that is down is the caller's to wait for.
func Open(ctx context.Context, url string, opts *Options) (*DB, error) {
	if opts == nil {
		opts = &Options{}
	}
	db := &DB{log: opts.Logger, erasureKey: opts.ErasureKey}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if db.worker, err = openPool(ctx, url, "parley_worker", opts.WorkerConns, opts.Tracer); err != nil {
		return nil, err
	}
	if db.api, err = openPool(ctx, url, "parley_api", opts.APIConns, opts.Tracer); err != nil {
		db.worker.Close()
		return nil, err
	}
	return db, nil
}

// openPool makes a pool whose sessions act as role.
func openPool(ctx context.Context, url, role string, conns int32, tracer pgx.QueryTracer) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The parse error may quote the URL; pgx redacts the password in it.
		return nil, fmt.Errorf("database URL: %w", err)
	}
	cfg.MaxConns = 16
	if conns > 0 {
		cfg.MaxConns = conns
	}
	cfg.ConnConfig.ConnectTimeout, cfg.ConnConfig.Tracer = 5*time.Second, tracer
	params := cfg.ConnConfig.RuntimeParams
	params["application_name"] = role
	params["timezone"] = "UTC"
	// A frozen process must not hold its row locks for longer than its lease.
	params["idle_in_transaction_session_timeout"] = "10s"
	params["statement_timeout"] = "60s"
	// A generic plan made while the tables were empty keeps its sequential
	// scans as they grow; planning anew costs well below a millisecond.
	params["plan_cache_mode"] = "force_custom_plan"
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		useUUIDArrays(conn.TypeMap())
		_, err := conn.Exec(ctx, "SET ROLE "+pgx.Identifier{role}.Sanitize())
		return err
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

// Close closes the pools once their connections are returned.
func (db *DB) Close() {
	db.worker.Close()
	db.api.Close()
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.worker.Ping(ctx) }

// PoolStat is a pool's use right now.
type PoolStat struct {
	Pool string
	// Max, Acquired and Idle count connections.
	Max, Acquired, Idle int32
	// Acquires counts requests for a connection since the start, Waited how
	// long they took in all.
	Acquires int64
	Waited   time.Duration
}

// PoolStats reports both pools.
func (db *DB) PoolStats() []PoolStat {
	stat := func(name string, p *pgxpool.Pool) PoolStat {
		s := p.Stat()
		return PoolStat{
			Pool: name, Max: s.MaxConns(), Acquired: s.AcquiredConns(), Idle: s.IdleConns(),
			Acquires: s.AcquireCount(), Waited: s.AcquireDuration(),
		}
	}
	return []PoolStat{stat("worker", db.worker), stat("api", db.api)}
}

// inTenant runs f in a transaction that sees tenant and nothing else, and in which
// the context's note is written, if f writes anything.
func (db *DB) inTenant(ctx context.Context, tenant events.TenantID, f func(pgx.Tx) error) error {
	var note *Note
	written := false
	err := pgx.BeginFunc(ctx, db.api, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('parley.tenant', $1, true)", string(tenant)); err != nil {
			return err
		}
		err := f(tx)
		if note = pendingNote(ctx); err != nil || note == nil {
			return err
		}
		written, err = note.write(ctx, tx)
		return err
	})
	if err == nil && written {
		note.kept.Store(true)
	}
	return err
}

// inTenantPlanned is inTenant for statements for which only plans by index are
// right, whatever their arguments: each connection plans them once, and anew when
// their tables' statistics change. Planning a page of the inbox takes longer than
// reading it.
func (db *DB) inTenantPlanned(ctx context.Context, tenant events.TenantID, f func(pgx.Tx) error) error {
	return db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlPlans); err != nil {
			return err
		}
		return f(tx)
	})
}

// inTenantSearching is inTenantPlanned for statements that look into an index of
// words, which only bitmap scans can read.
func (db *DB) inTenantSearching(ctx context.Context, tenant events.TenantID, f func(pgx.Tx) error) error {
	return db.inTenantPlanned(ctx, tenant, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL enable_bitmapscan = on"); err != nil {
			return err
		}
		return f(tx)
	})
}

// asWorker runs f in a transaction that sees every tenant.
func (db *DB) asWorker(ctx context.Context, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, db.worker, f)
}

// sqlState is err's SQLSTATE, or empty when the database did not raise it.
func sqlState(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// sqlStateFenced is raised by parley_advance and parley_fence.
const sqlStateFenced = "PY001"

// ErrFenced says that a lease was taken by another process: the transaction was
// rolled back, and its owner must stop.
var ErrFenced = errors.New("the lease was taken by another process")

// fenced maps the database's own error to ErrFenced.
func fenced(err error) error {
	if sqlState(err) == sqlStateFenced {
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	return err
}
