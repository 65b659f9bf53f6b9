package store

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs of refused rows
// (https://www.postgresql.org/docs/15/errcodes-appendix.html).
const (
	sqlStateForeignKey = "23503"
	sqlStateUnique     = "23505"
	sqlStateCheck      = "23514"
)

// violates reports whether the database refused a row by the named constraint
// or unique index.
func violates(err error, constraint string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.ConstraintName == constraint
}
