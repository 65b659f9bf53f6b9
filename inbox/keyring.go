package inbox

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// KeySize is the length of a keyring's key in bytes (AES-256).
const KeySize = 32

// Keyring seals channels' secrets at rest with AES-256-GCM. The sealed bytes
// are bound to the channel, so that one channel's secrets cannot be pasted into
// another's row.
type Keyring struct {
	aead cipher.AEAD
	key  []byte
}

// NewKey makes a key in the text form that ParseKey reads.
func NewKey() string {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails: https://pkg.go.dev/crypto/rand#Read
	return base64.StdEncoding.EncodeToString(key)
}

// ParseKey reads a base64 key of KeySize bytes.
func ParseKey(text string) (*Keyring, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != KeySize {
		return nil, &Error{
			Code:    Invalid,
			Message: "The secret key is not 32 bytes in base64.",
			Hint:    "Make one with: openssl rand -base64 32",
		}
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Keyring{aead: aead, key: key}, nil
}

// Seal encrypts the secrets of the channel of that id.
func (k *Keyring) Seal(channel string, secrets map[string]string) ([]byte, error) {
	plain, err := json.Marshal(secrets)
	if err != nil {
		return nil, fmt.Errorf("sealing secrets: %w", err)
	}
	return k.aead.Seal(nil, nil, plain, []byte(channel)), nil //nolint:gosec // this AEAD makes a random nonce itself and wants none
}

// Derive makes a key of 32 bytes for another purpose than sealing, the same
// wherever the keyring is the same (HKDF, RFC 5869).
func (k *Keyring) Derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, k.key, nil, purpose, sha256.Size)
	if err != nil {
		panic(err) // only for lengths beyond 255 hashes
	}
	return key
}

// errSealed names no cause on purpose: GCM does not know which it is.
var errSealed = errors.New("the sealed secrets cannot be opened: another secret key, or damaged data. Start with the key they were sealed with")

// Open decrypts what Seal made for the same channel.
func (k *Keyring) Open(channel string, sealed []byte) (map[string]string, error) {
	plain, err := k.aead.Open(nil, nil, sealed, []byte(channel))
	if err != nil {
		return nil, errSealed
	}
	var secrets map[string]string
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return nil, errSealed
	}
	return secrets, nil
}
