package jetstream

import (
	"context"
	"crypto/rand"
	"errors"

	"parley/events"
)

// Keys of a channel's reconciliation, beside its polling cursor. An id is a UUID
// and holds no dot.
func reconciledKey(id events.ChannelID) string { return string(id) + ".reconciled" }
func askedKey(id events.ChannelID) string      { return string(id) + ".asked" }

// Reconciled is up to where a channel was compared with its provider: what
// [Bus.SetReconciled] stored last, or [ErrNotFound].
func (b *Bus) Reconciled(ctx context.Context, id events.ChannelID) (string, error) {
	data, _, err := b.kvGet(ctx, cursorsBucket, reconciledKey(id))
	return string(data), err
}

// SetReconciled stores up to where a channel was compared, durably, under the
// rules of [Bus.SetCursor].
func (b *Bus) SetReconciled(ctx context.Context, id events.ChannelID, state string) error {
	return b.kvPut(ctx, cursorsBucket, reconciledKey(id), []byte(state))
}

// AskReconcile asks whoever holds the channel's lease to compare it with its
// provider soon. It returns nil once the request is durable.
func (b *Bus) AskReconcile(ctx context.Context, id events.ChannelID) error {
	return b.kvPut(ctx, cursorsBucket, askedKey(id), []byte(rand.Text()))
}

// ReconcileAsked names the last request of [Bus.AskReconcile], empty when there
// was none. Requests are compared for equality only: clocks of different machines
// are not.
func (b *Bus) ReconcileAsked(ctx context.Context, id events.ChannelID) (string, error) {
	data, _, err := b.kvGet(ctx, cursorsBucket, askedKey(id))
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return string(data), err
}

// forgetReconciled drops what is known of a deleted channel.
func (b *Bus) forgetReconciled(ctx context.Context, id events.ChannelID) error {
	return errors.Join(b.kvDelete(ctx, cursorsBucket, reconciledKey(id)), b.kvDelete(ctx, cursorsBucket, askedKey(id)))
}
