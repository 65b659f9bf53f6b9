// Package store keeps Parley's state in PostgreSQL: one noun per file, the SQL
// inside. Exported methods own their transaction; unexported helpers take one.
//
// Three roles reach the database, each through a pool or connection of its own.
// The owner migrates. parley_worker (router, dispatcher, relay) sees every
// tenant. parley_api sees the tenant its transaction names and nothing else;
// forced row security binds all three, so a query without a tenant returns no
// rows.
//
// Errors are *inbox.Error where the caller can act on them and wrapped
// *pgconn.PgError otherwise.
package store
