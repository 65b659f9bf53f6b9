// Package migrations holds the numbered SQL that makes and changes Parley's
// schema, embedded in the binary. store.Migrate applies it.
//
// A migration runs as the database's owner, who is bound by the same forced row
// security as everybody else: an UPDATE of a tenant table that is not preceded
// by SET LOCAL ROLE parley_worker touches no rows.
package migrations

import "embed"

// FS holds the migrations in goose's format, named NNNNN_noun.sql.
//
//go:embed *.sql
var FS embed.FS
