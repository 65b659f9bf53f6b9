package store

import "strings"

// IsDataError reports that the database refused a value (SQLSTATE class 22,
// https://www.postgresql.org/docs/15/errcodes-appendix.html): the same event
// will be refused again.
func IsDataError(err error) bool { return strings.HasPrefix(sqlState(err), "22") }

// IsConstraintError reports that the database refused a row (SQLSTATE class
// 23): another transaction may have been the reason, so a second try tells.
func IsConstraintError(err error) bool { return strings.HasPrefix(sqlState(err), "23") }

// SQLState is err's SQLSTATE, or empty when the database did not raise it.
func SQLState(err error) string { return sqlState(err) }
