package inbox

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"time"
)

// KeySize is the length of a secret key in bytes (AES-256).
const KeySize = 32

// Key is one secret key of an installation.
type Key struct {
	// ID tells keys apart and tells nothing of them: 16 hexadecimal digits. Backups
	// and sealed values name their key by it.
	ID string
	// Made is when it was made; zero where its text does not say.
	Made time.Time

	text string
	key  []byte
	mark []byte
	aead cipher.AEAD
}

// NewKey makes a key in the text form that ParseKey reads, without a date.
func NewKey() string {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails: https://pkg.go.dev/crypto/rand#Read
	return base64.StdEncoding.EncodeToString(key)
}

// DatedKey is NewKey with the time at which it was made.
func DatedKey(made time.Time) string { return NewKey() + " " + made.UTC().Format(time.RFC3339) }

// newKey wants KeySize bytes.
func newKey(key []byte, made time.Time) (*Key, error) {
	k := &Key{Made: made, text: base64.StdEncoding.EncodeToString(key), key: key}
	if !made.IsZero() {
		k.text += " " + made.UTC().Format(time.RFC3339)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if k.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, err
	}
	// The purpose is as old as backups are: theirs name keys by it.
	sum := sha256.Sum256(k.Derive("parley backups 1"))
	id := sum[:markID]
	k.ID, k.mark = hex.EncodeToString(id), append([]byte(sealMagic), id...)
	return k, nil
}

// Derive makes a key of 32 bytes for another purpose than sealing, the same
// wherever the key is the same (HKDF, RFC 5869).
func (k *Key) Derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, k.key, nil, purpose, sha256.Size)
	if err != nil {
		panic(err) // only for lengths beyond 255 hashes
	}
	return key
}

// seal encrypts. A marked value begins with the key's mark, which is authenticated.
func (k *Key) seal(name string, plain []byte, marked bool) []byte {
	if !marked {
		return k.aead.Seal(nil, nil, plain, []byte(name)) //nolint:gosec // this AEAD makes a random nonce itself and wants none
	}
	return k.aead.Seal(append([]byte(nil), k.mark...), nil, plain, k.bound(name)) //nolint:gosec // as above
}

// bound is what a marked value is authenticated with.
func (k *Key) bound(name string) []byte { return append(append([]byte(nil), k.mark...), name...) }

// Sealed values that name their key begin with sealMagic and the bytes of its ID.
// Older ones begin with a random nonce.
const (
	sealMagic = "PK1\x00"
	markID    = 8

	// SealMarkSize is the length of the mark in bytes.
	SealMarkSize = len(sealMagic) + markID
)

// SealMark is what a sealed value says of its key, with the key's ID; both are empty
// for values of before keys were named.
func SealMark(sealed []byte) (mark []byte, id string) {
	if len(sealed) < SealMarkSize || string(sealed[:len(sealMagic)]) != sealMagic {
		return nil, ""
	}
	mark = sealed[:SealMarkSize]
	return mark, hex.EncodeToString(mark[len(sealMagic):])
}

// SealMagic is how sealed values that name their key begin.
func SealMagic() []byte { return []byte(sealMagic) }
