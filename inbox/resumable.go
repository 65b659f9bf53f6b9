package inbox

import "time"

// Resumable is a file that arrives in pieces, over as many requests as it takes.
type Resumable struct {
	ID string
	// Name and MIME are as declared; Metadata is what declared them, for who asks
	// again.
	Name, MIME, Metadata string
	// Size is the whole file's, Received what has arrived of it, in bytes.
	Size, Received int64
	// Upload is what it became, 0 until all has arrived.
	Upload int64
	// ExpiresAt is when it is forgotten, unless more arrives before.
	ExpiresAt time.Time
}
