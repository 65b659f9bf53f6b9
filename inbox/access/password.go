package access

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"parley/inbox"
)

// Cost is what one password hash takes.
type Cost struct {
	// MemoryKiB and Time are Argon2id's m and t, Threads its p.
	MemoryKiB, Time uint32
	Threads         uint8
}

// DefaultCost is OWASP's first choice for Argon2id
// (https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html).
func DefaultCost() Cost { return Cost{MemoryKiB: 47104, Time: 1, Threads: 1} }

// Lengths of a password: at least so many characters (NIST SP 800-63B-4,
// section 3.1.1.2, where it may be the only factor: 15; 12 here, since log-ins are
// throttled), and at most so many bytes, so that hashing stays cheap.
const (
	MinPassword = 12
	MaxPassword = 1024
)

// Lengths of a hash's parts in bytes (RFC 9106, section 4).
const (
	saltSize = 16
	keySize  = 32
)

// Bounds of what a stored hash may make us spend, should somebody have changed it.
const (
	maxMemoryKiB = 1 << 20
	maxTime      = 16
	maxThreads   = 16
)

// CheckPassword refuses a password that is too short or too long.
func CheckPassword(password string) error {
	switch {
	case utf8.RuneCountInString(password) < MinPassword:
		return &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("The password is shorter than %d characters.", MinPassword),
			Hint: "Several words that do not belong together are easy to remember.",
		}
	case len(password) > MaxPassword:
		return &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("The password is longer than %d bytes.", MaxPassword)}
	}
	return nil
}

// HashPassword hashes a password into the PHC string format
// (https://github.com/P-H-C/phc-string-format), parameters and salt included:
//
//	$argon2id$v=19$m=47104,t=1,p=1$<salt>$<key>
func HashPassword(password string, cost Cost) string {
	salt := randomBytes(saltSize)
	return formatHash(cost, salt, argon2.IDKey([]byte(password), salt, cost.Time, cost.MemoryKiB, cost.Threads, keySize))
}

// decoyHash is the hash of no password, and takes as long to check as any.
func decoyHash(cost Cost) string {
	return formatHash(cost, randomBytes(saltSize), randomBytes(keySize))
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: https://pkg.go.dev/crypto/rand#Read
	return b
}

func formatHash(cost Cost, salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, cost.MemoryKiB, cost.Time, cost.Threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

var errHash = errors.New("the stored password hash cannot be read")

// VerifyPassword reports whether a password is the one that was hashed. The error
// says that the hash cannot be read.
func VerifyPassword(hash, password string) (bool, error) {
	cost, salt, key, err := parseHash(hash)
	if err != nil {
		return false, err
	}
	if len(password) > MaxPassword {
		password = "" // too long to be anybody's; the work stays the same
	}
	got := argon2.IDKey([]byte(password), salt, cost.Time, cost.MemoryKiB, cost.Threads, keySize)
	return subtle.ConstantTimeCompare(got, key) == 1, nil
}

func parseHash(hash string) (c Cost, salt, key []byte, err error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errHash
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.MemoryKiB, &c.Time, &c.Threads); err != nil || n != 3 ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", c.MemoryKiB, c.Time, c.Threads) ||
		c.MemoryKiB > maxMemoryKiB || c.Time == 0 || c.Time > maxTime || c.Threads == 0 || c.Threads > maxThreads {
		return c, nil, nil, errHash
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(salt) != saltSize {
		return c, nil, nil, errHash
	}
	if key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(key) != keySize {
		return c, nil, nil, errHash
	}
	return c, salt, key, nil
}
