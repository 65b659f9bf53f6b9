package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Examination is what a database says of itself, for somebody who looks for what is
// wrong with it.
type Examination struct {
	// Version is the server's, such as 150018.
	Version int
	// Settings that promises rest on, by name.
	Settings map[string]string
	Encoding string
	// ReadOnly says that it is a standby, which cannot be written to.
	ReadOnly bool
	// Skew is how far its clock is ahead of ours, Uncertainty how far that may be off.
	Skew, Uncertainty time.Duration
	// Connections of MaxConnections are in use, by everybody.
	Connections, MaxConnections int
	// Schema is the schema's version, 0 when there is none; Newest the one that this
	// program needs.
	Schema, Newest int64
	// Bypass are those among us and Parley's roles whom row security does not bind.
	Bypass []string
	// MissingRoles are those of Parley's roles that are not there or that we cannot act as.
	MissingRoles []string
	// MakesRoles says that the role that we log in as may make others.
	MakesRoles bool
	// Unwalled are tables with a tenant whose row security is not on and forced.
	Unwalled []string
}

// examinedSettings are those whose value decides whether promises are kept.
var examinedSettings = []string{"fsync", "full_page_writes", "synchronous_commit", "wal_level", "data_checksums", "max_connections"}

// Examine connects to a database and looks at it, without changing anything. Its
// errors are those of connecting and reading.
func Examine(ctx context.Context, url string) (e Examination, err error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return e, fmt.Errorf("database URL: %w", err)
	}
	cfg.ConnectTimeout = 5 * time.Second
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return e, fmt.Errorf("reaching the database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	asked := time.Now()
	var theirs time.Time
	if err := conn.QueryRow(ctx, `
		SELECT clock_timestamp(), current_setting('server_version_num')::int, pg_encoding_to_char(encoding), pg_is_in_recovery(),
		       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), current_setting('max_connections')::int
		  FROM pg_database WHERE datname = current_database()`).
		Scan(&theirs, &e.Version, &e.Encoding, &e.ReadOnly, &e.Connections, &e.MaxConnections); err != nil {
		return e, fmt.Errorf("examining the database: %w", err)
	}
	took := time.Since(asked)
	e.Skew, e.Uncertainty = theirs.Sub(asked.Add(took/2)), took/2
	e.Settings = make(map[string]string)
	for _, name := range examinedSettings {
		var value string
		if err := conn.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return e, fmt.Errorf("examining the database: %w", err)
		}
		e.Settings[name] = value
	}
	lists := []struct {
		into *[]string
		sql  string
	}{
		{&e.Bypass, `SELECT rolname::text FROM pg_roles
			WHERE (rolname = current_user OR rolname IN ('parley_api', 'parley_worker', 'parley_backup')) AND (rolsuper OR rolbypassrls) ORDER BY 1`},
		{&e.MissingRoles, `SELECT w FROM unnest(ARRAY['parley_api', 'parley_backup', 'parley_worker']) w
			WHERE NOT coalesce((SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = w), false) ORDER BY 1`},
		{&e.Unwalled, `SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
			  AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped) ORDER BY 1`},
	}
	for _, l := range lists {
		rows, _ := conn.Query(ctx, l.sql)
		if *l.into, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return e, fmt.Errorf("examining the database: %w", err)
		}
	}
	if err := conn.QueryRow(ctx, "SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&e.MakesRoles); err != nil {
		return e, fmt.Errorf("examining the database: %w", err)
	}
	e.Newest = NewestSchema()
	var made bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('parley_migrations') IS NOT NULL").Scan(&made); err != nil || !made {
		return e, err
	}
	// Goose writes a row for each step, and another when it is taken back.
	err = conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM parley_migrations m WHERE is_applied
		AND NOT EXISTS (SELECT FROM parley_migrations l WHERE l.version_id = m.version_id AND l.id > m.id AND NOT l.is_applied)`).Scan(&e.Schema)
	if err != nil {
		return e, fmt.Errorf("reading the schema's version: %w", err)
	}
	return e, nil
}
