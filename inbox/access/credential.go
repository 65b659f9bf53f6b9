package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/google/uuid"

	"parley/events"
)

// Kind says what a credential is for; each is refused where another is wanted.
type Kind string

// The kinds, as a credential begins: tools that look for leaked secrets can tell
// one by it.
const (
	SessionKind    Kind = "parley_ses_"
	TokenKind      Kind = "parley_tok_" //nolint:gosec // how each begins
	InvitationKind Kind = "parley_inv_"
)

// secretSize is the random part in bytes.
const secretSize = 32

// shownChars is how many characters after the kind people see of a credential:
// in its tenant's part, which is no secret, and a few more to tell it by.
const shownChars = 26

// Credential is a secret that lets its bearer in. Its text is
//
//	parley_tok_<base64url of the tenant's 16 bytes and the secret's 32>
type Credential struct {
	Tenant events.TenantID
	Text   string
}

// NewCredential makes one. The tenant must be a UUID.
func NewCredential(kind Kind, tenant events.TenantID) (Credential, error) {
	id, err := uuid.Parse(string(tenant))
	if err != nil {
		return Credential{}, err
	}
	data := make([]byte, len(id)+secretSize)
	copy(data, id[:])
	_, _ = rand.Read(data[len(id):]) // never fails: https://pkg.go.dev/crypto/rand#Read
	return Credential{Tenant: events.TenantID(id.String()), Text: string(kind) + base64.RawURLEncoding.EncodeToString(data)}, nil
}

// ParseCredential reads a credential of a kind; ok is false when it is none.
func ParseCredential(kind Kind, text string) (c Credential, ok bool) {
	rest, is := strings.CutPrefix(text, string(kind))
	if !is || len(rest) != base64.RawURLEncoding.EncodedLen(len(uuid.UUID{})+secretSize) {
		return Credential{}, false
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil || base64.RawURLEncoding.EncodeToString(data) != rest {
		return Credential{}, false
	}
	id, err := uuid.FromBytes(data[:len(uuid.UUID{})])
	if err != nil {
		return Credential{}, false
	}
	return Credential{Tenant: events.TenantID(id.String()), Text: text}, true
}

// Hash is what is stored of it, and looked up.
func (c Credential) Hash() [32]byte { return sha256.Sum256([]byte(c.Text)) }

// Shown is its beginning, for people to tell it by; most of the secret is left.
func (c Credential) Shown() string {
	if n := len(TokenKind) + shownChars; len(c.Text) > n {
		return c.Text[:n]
	}
	return ""
}

// String hides the secret from logs.
func (c Credential) String() string { return c.Shown() + "…" }

// GoString hides the secret from %#v.
func (c Credential) GoString() string { return c.String() }
