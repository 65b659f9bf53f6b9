package sandbox

import (
	"maps"
	"slices"
)

// Names are the names of those who are known, in order.
func (t *Telegram) Names() []string {
	t.peopleMu.RLock()
	defer t.peopleMu.RUnlock()
	return slices.Sorted(maps.Keys(t.byName))
}

// Names are the names of those who are known, in order; of strangers their
// numbers.
func (t *Twilio) Names() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.byName))
}
