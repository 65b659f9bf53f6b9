package jetstream

import (
	"hash/fnv"

	"parley/events"
)

// Partition says which of partitions streams carries what this person sends to
// this tenant: one person is one partition, on whatever channel and gateway.
// It is FNV-1a 64 over tenant, kind and value with NUL between them, modulo
// partitions, and may never change: a person's messages would lose their order.
func Partition(tenant events.TenantID, who events.Identity, partitions int) int {
	if partitions <= 1 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(tenant))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(who.Kind))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(who.Value))
	return int(h.Sum64() % uint64(partitions)) //nolint:gosec // below partitions, an int
}
