package store

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs of refused rows
// (https://www.postgresql.org/docs/15/errcodes-appendix.html).
const (
	sqlStateForeignKey = "23503"
	sqlStateCheck      = "23514"
)

// violates reports whether the database refused a row by the named constraint
// or unique index.
func violates(err error, constraint string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.ConstraintName == constraint
}

// Unreachable reports that the database did not take the request: it is down,
// starting, shutting down, out of connections, or too slow. Trying again later
// may work.
func Unreachable(err error) bool {
	var connect *pgconn.ConnectError
	var network *net.OpError
	if errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) {
		return true
	}
	switch state := sqlState(err); {
	case strings.HasPrefix(state, "08"), // connection exception
		strings.HasPrefix(state, "57P"), // shut down, starting, or dropped
		state == "53300":                // too many connections
		return true
	}
	return false
}
