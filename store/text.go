package store

import (
	"strings"
	"unicode/utf8"
)

// isText reports whether PostgreSQL takes it: neither broken UTF-8 nor NUL.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
