package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"

	"parley/events"
)

// PutHealth records how a channel fares; the last one wins.
func (b *Bus) PutHealth(ctx context.Context, h events.ChannelHealth) error {
	value, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("%w: health of channel %s: %w", ErrInvalid, h.Channel, err)
	}
	return b.kvPut(ctx, healthBucket, string(h.Channel), value)
}

// Health is how every channel fares that was ever looked at, by id.
func (b *Bus) Health(ctx context.Context) ([]events.ChannelHealth, error) {
	var all []events.ChannelHealth
	err := b.kvEach(ctx, healthBucket, func(v kvValue) error {
		var h events.ChannelHealth
		if err := kvDecode(healthBucket, v.key, v.value, &h); err != nil {
			return err
		}
		all = append(all, h)
		return nil
	})
	sort.Slice(all, func(i, j int) bool { return all[i].Channel < all[j].Channel })
	return all, err
}
