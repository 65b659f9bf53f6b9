package jetstream

import (
	"context"
	"fmt"
	"strings"
)

// StreamUse is how full a stream is.
type StreamUse struct {
	Stream string
	// Messages and Bytes are what it holds.
	Messages, Bytes uint64
	// MaxBytes is its limit; 0 is none but the server's.
	MaxBytes uint64
	// Replicas are the servers that keep it.
	Replicas int
}

// Usage reports every stream of Parley's, the facts' and the buckets' included.
func (b *Bus) Usage(ctx context.Context) ([]StreamUse, error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	var all []StreamUse
	streams := b.js.ListStreams(ctx)
	for info := range streams.Info() {
		name := info.Config.Name
		if !strings.HasPrefix(name, "PARLEY_") && !strings.HasPrefix(name, kvStream("PARLEY_")) {
			continue
		}
		all = append(all, StreamUse{
			Stream: name, Messages: info.State.Msgs, Bytes: info.State.Bytes,
			MaxBytes: uint64(max(info.Config.MaxBytes, 0)), Replicas: info.Config.Replicas,
		})
	}
	if err := streams.Err(); err != nil {
		return nil, fmt.Errorf("list streams: %w", unavailable(err))
	}
	return all, nil
}
