package inbox

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"parley/events"
)

// Keyring seals secrets at rest with AES-256-GCM. The sealed bytes are bound to
// what they are for, so that one channel's secrets cannot be pasted into another's
// row. It holds one key or several: the first seals, all open. Its methods may be
// called from several goroutines.
type Keyring struct {
	ring atomic.Pointer[[]*Key]
}

// maxKeys bounds a ring; each is tried on values that do not name their key.
const maxKeys = 16

// ParseKey reads keys, one a line or separated by commas: the base64 of KeySize
// bytes and, after a blank, optionally when it was made (RFC 3339). The first
// seals. Lines that begin with # are for people. It fails with Invalid, and its
// errors say nothing of the text.
func ParseKey(text string) (*Keyring, error) {
	var keys []*Key
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		for entry := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(entry) == "" {
				continue
			}
			k, err := parseOne(entry)
			if err != nil {
				if e := (*Error)(nil); i > 0 && errors.As(err, &e) {
					e.Message = fmt.Sprintf("Line %d of the secret keys: %s", i+1, e.Message)
				}
				return nil, err
			}
			if slices.ContainsFunc(keys, func(have *Key) bool { return have.ID == k.ID }) {
				return nil, &Error{Code: Invalid, Message: "The secret key " + k.ID + " is given twice.", Hint: "Remove one of the two."}
			}
			keys = append(keys, k)
		}
	}
	switch {
	case len(keys) == 0:
		return nil, badKey()
	case len(keys) > maxKeys:
		return nil, &Error{Code: Invalid, Message: fmt.Sprintf("There are %d secret keys; %d are the most.", len(keys), maxKeys), Hint: "Retire old ones: parley key list"}
	}
	return newRing(keys), nil
}

func newRing(keys []*Key) *Keyring {
	k := &Keyring{}
	k.ring.Store(&keys)
	return k
}

func badKey() error {
	return &Error{Code: Invalid, Message: "The secret key is not 32 bytes in base64.", Hint: "Make one with: parley key new, or: openssl rand -base64 32"}
}

func parseOne(entry string) (*Key, error) {
	fields := strings.Fields(entry)
	key, err := base64.StdEncoding.Strict().DecodeString(fields[0])
	if err != nil || len(key) != KeySize || len(fields) > 2 {
		return nil, badKey()
	}
	var made time.Time
	if len(fields) == 2 {
		if made, err = time.Parse(time.RFC3339, fields[1]); err != nil || made.Year() < 2000 || made.Year() > 9999 {
			return nil, &Error{Code: Invalid, Message: "What stands behind a secret key is not when it was made.", Hint: "Write it like 2026-01-31T12:00:00Z, or leave it out."}
		}
	}
	return newKey(key, made.UTC())
}

// Keys are the ring's, the one that seals first.
func (k *Keyring) Keys() []*Key { return slices.Clone(*k.ring.Load()) }

// Current is the key that seals.
func (k *Keyring) Current() *Key { return (*k.ring.Load())[0] }

// Key is the key of that ID, or of which that is the beginning of one, at least four
// digits; nil when it is none of the ring's, or of several.
func (k *Keyring) Key(id string) (found *Key) {
	id = strings.ToLower(id)
	for _, key := range *k.ring.Load() {
		if key.ID == id || len(id) >= 4 && strings.HasPrefix(key.ID, id) {
			if found != nil {
				return nil
			}
			found = key
		}
	}
	return found
}

// IDs are those of the ring's keys, in its order.
func (k *Keyring) IDs() (ids []string) {
	for _, key := range *k.ring.Load() {
		ids = append(ids, key.ID)
	}
	return ids
}

// Oldest is the key that was made first; one that does not say when is older than
// any that does. Ok is false when there are two of those.
func (k *Keyring) Oldest() (oldest *Key, ok bool) {
	for _, key := range *k.ring.Load() {
		switch {
		case oldest == nil || key.Made.Before(oldest.Made):
			oldest, ok = key, true
		case key.Made.Equal(oldest.Made):
			ok = false
		}
	}
	return oldest, ok
}

// Replace gives the ring the keys of another.
func (k *Keyring) Replace(by *Keyring) { k.ring.Store(by.ring.Load()) }

// With is the ring with another key at its end, which opens and does not seal.
func (k *Keyring) With(text string) (*Keyring, error) { return ParseKey(k.Text() + text) }

// Using is the ring with the key of that ID in front, so that it seals.
func (k *Keyring) Using(id string) *Keyring {
	keys := k.Keys()
	slices.SortStableFunc(keys, func(a, b *Key) int {
		switch {
		case a.ID == id && b.ID != id:
			return -1
		case b.ID == id && a.ID != id:
			return 1
		}
		return 0
	})
	return newRing(keys)
}

// Without is the ring without a key that does not seal.
func (k *Keyring) Without(id string) *Keyring {
	return newRing(slices.DeleteFunc(k.Keys(), func(key *Key) bool { return key.ID == id && key != k.Current() }))
}

// Text is what ParseKey reads: the keys themselves.
func (k *Keyring) Text() string {
	var b strings.Builder
	for _, key := range *k.ring.Load() {
		b.WriteString(key.text + "\n")
	}
	return b.String()
}

// Derive makes keys for another purpose than sealing, one of each key in the ring's
// order; see [Key.Derive].
func (k *Keyring) Derive(purpose string) (list [][]byte) {
	for _, key := range *k.ring.Load() {
		list = append(list, key.Derive(purpose))
	}
	return list
}

// Mark is how values begin that the ring seals now; nil while they do not name
// their key. That is so for a single key without a date: programs of before keys were
// named may share it, and could not open what names it.
func (k *Keyring) Mark() []byte {
	if keys := *k.ring.Load(); len(keys) > 1 || !keys[0].Made.IsZero() {
		return keys[0].mark
	}
	return nil
}

// Stale reports whether a value is sealed otherwise than the ring seals now.
func (k *Keyring) Stale(sealed []byte) bool {
	mark, id := SealMark(sealed)
	return k.Mark() != nil && string(mark) != string(k.Mark()) || k.Mark() == nil && id != "" && id != k.Current().ID
}

// Seal encrypts secrets for what name names, such as a channel's id.
func (k *Keyring) Seal(name string, secrets map[string]string) ([]byte, error) {
	plain, err := json.Marshal(secrets)
	if err != nil {
		return nil, fmt.Errorf("sealing secrets: %w", err)
	}
	return k.Current().seal(name, plain, k.Mark() != nil), nil
}

// Open decrypts what Seal made for the same name. It fails with a [*SealedError].
func (k *Keyring) Open(name string, sealed []byte) (map[string]string, error) {
	plain, err := k.open(name, sealed)
	if err != nil {
		return nil, err
	}
	var secrets map[string]string
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return nil, &SealedError{}
	}
	return secrets, nil
}

func (k *Keyring) open(name string, sealed []byte) ([]byte, error) {
	keys := *k.ring.Load()
	mark, id := SealMark(sealed)
	for _, key := range keys {
		if id == key.ID {
			plain, err := key.aead.Open(nil, nil, sealed[len(mark):], key.bound(name))
			if err != nil {
				return nil, &SealedError{Key: id, Damaged: true}
			}
			return plain, nil
		}
	}
	// Also where it seems to name another key: a nonce may look like that.
	for _, key := range keys {
		if plain, err := key.aead.Open(nil, nil, sealed, []byte(name)); err == nil {
			return plain, nil
		}
	}
	return nil, &SealedError{Key: id}
}

// SealedError says why sealed secrets cannot be opened.
type SealedError struct {
	// Key is the ID of the key that sealed them; empty where they do not name it.
	Key string
	// Damaged says that the key is there, and the data is not what it sealed.
	Damaged bool
}

func (e *SealedError) Error() string {
	switch {
	case e.Damaged:
		return "the sealed secrets cannot be opened: they are damaged, or were sealed for something else"
	case e.Key == "":
		// No cause on purpose: GCM does not know which it is.
		return "the sealed secrets cannot be opened: another secret key, or damaged data. Give the key that they were sealed with, too"
	}
	return "the sealed secrets cannot be opened: they were sealed with the secret key " + e.Key + ", which is not among those that this process was given. Give it that one, too"
}

// OpenChannel opens a channel's secrets. It fails with Unavailable, with the
// channel's name and what to do.
func (k *Keyring) OpenChannel(ch events.Channel) (map[string]string, error) {
	secrets, err := k.Open(string(ch.ID), ch.Sealed)
	if err == nil {
		return secrets, nil
	}
	e := &Error{Code: Unavailable, Err: err, Hint: "Add that key as a further line of the secret keys and restart; parley key list shows what is missing. Where it is lost, connect the channel again."}
	e.Message = fmt.Sprintf("Channel %q (%s): %v.", ch.Name, ch.ID, err)
	if s := (*SealedError)(nil); errors.As(err, &s) && s.Damaged {
		e.Hint = "Restore the database from a backup, or connect the channel again."
	}
	return nil, e
}

// SealedWebhook is what a webhook's secrets are sealed for.
func SealedWebhook(id string) string { return "webhook:" + id }

// SealedTOTP is what the second factor of a user is sealed for.
func SealedTOTP(tenant events.TenantID, user int64) string {
	return "totp:" + string(tenant) + ":" + strconv.FormatInt(user, 10)
}

// SealedErasures is what the key of the hashes of what was erased is sealed for.
const SealedErasures = "erasures"
