package jetstream

import (
	"sync"
	"time"
)

type observation struct {
	revision uint64
	since    time.Time
}

type observations struct {
	mu   sync.Mutex
	seen map[string]observation
}
