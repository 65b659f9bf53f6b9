package jetstream

import (
	"context"

	"parley/events"
)

// Cursor is where polling a channel goes on: what [Bus.SetCursor] stored last,
// or [ErrNotFound].
func (b *Bus) Cursor(ctx context.Context, id events.ChannelID) (string, error) {
	data, _, err := b.kvGet(ctx, cursorsBucket, string(id))
	return string(data), err
}

// SetCursor stores where polling a channel goes on, durably. Call it after the
// events before the cursor are published, while holding the channel's lease: a
// cursor that falls back only costs duplicates, one that runs ahead loses mail.
func (b *Bus) SetCursor(ctx context.Context, id events.ChannelID, cursor string) error {
	return b.kvPut(ctx, cursorsBucket, string(id), []byte(cursor))
}
