package gateway

import (
	"crypto/sha256"
	"sync"

	"parley/events"
)

// longestPath is the most bytes of a webhook path that are worth hashing.
const longestPath = 256

// pathKey is a webhook path's hash. Looking paths up by it takes the same time
// however much of one a caller guessed right.
type pathKey [sha256.Size]byte

func keyOf(path string) pathKey {
	if len(path) > longestPath {
		path = path[:longestPath]
	}
	return sha256.Sum256([]byte(path))
}

// table is the accounts that webhooks are looked up in.
type table struct {
	mu    sync.RWMutex
	known bool
	paths map[pathKey]*account
	ids   map[events.ChannelID]*account
	// working counts the accounts that are not paused.
	working int
}

func newTable() *table {
	return &table{paths: make(map[pathKey]*account), ids: make(map[events.ChannelID]*account)}
}

// byPath is the account with this webhook path, or nil.
func (t *table) byPath(path string) *account {
	key := keyOf(path)
	t.mu.RLock()
	defer t.mu.RUnlock()
	acc := t.paths[key]
	if acc == nil || acc.ch.WebhookPath != path {
		return nil
	}
	return acc
}

// byID is the account of a channel, or nil.
func (t *table) byID(id events.ChannelID) *account {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.ids[id]
}

// put adds acc and replaces the channel's older account.
func (t *table) put(acc *account) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(acc.ch.ID)
	t.ids[acc.ch.ID] = acc
	if !acc.ch.Paused {
		t.working++
	}
	if acc.ch.WebhookPath != "" {
		t.paths[keyOf(acc.ch.WebhookPath)] = acc
	}
}

// remove forgets a channel.
func (t *table) remove(id events.ChannelID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(id)
}

// drop needs the lock.
func (t *table) drop(id events.ChannelID) {
	old := t.ids[id]
	if old == nil {
		return
	}
	delete(t.ids, id)
	if !old.ch.Paused {
		t.working--
	}
	if key := keyOf(old.ch.WebhookPath); t.paths[key] == old {
		delete(t.paths, key)
	}
}

// setLoaded says that every channel there is has been put once, so that an
// unknown path is one.
func (t *table) setLoaded() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known = true
}

// loaded reports whether setLoaded was called.
func (t *table) loaded() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.known
}

// active is how many channels there are that are not paused.
func (t *table) active() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.working
}

// size is how many channels there are.
func (t *table) size() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.ids)
}
