package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"strconv"
	"time"

	"parley/events"
)

// bury is the keyed hash that is left of what was erased.
func bury(key []byte, words ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, w := range words {
		// The length first, so that no two lists of words look alike.
		h.Write(strconv.AppendInt(nil, int64(len(w)), 10))
		h.Write([]byte{':'})
		h.Write([]byte(w))
	}
	return h.Sum(nil)
}

func buryMessage(key []byte, channel, chat, message string, part int16) []byte {
	return bury(key, "message", channel, chat, message, strconv.Itoa(int(part)))
}

// buryRow is for a client's row, as a backup brings it back: numbers are used again
// after a restore, but not with the time of another.
func buryRow(key []byte, client int64, created time.Time) []byte {
	return bury(key, "client", strconv.FormatInt(client, 10), strconv.FormatInt(created.UnixMicro(), 10))
}

// buryIdentity does not tell a proven address from one that is only claimed:
// both are the person's.
func buryIdentity(key []byte, id events.Identity) []byte {
	if id.Kind == unprovenEmail {
		id.Kind = events.EmailAddress
	}
	return bury(key, "identity", string(id.Kind), id.Value)
}
