package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"

	"parley/events"
)

// channelEntry is a channel's projection; a deleted one stays as a tombstone,
// so that a late older version does not bring it back.
type channelEntry struct {
	events.Channel
	Deleted bool `json:"deleted,omitempty"`
}

// PutChannel projects a channel for the gateways. It does nothing when the same
// or a newer version is there already, deleted ones included.
func (b *Bus) PutChannel(ctx context.Context, c events.Channel) error {
	return b.swapChannel(ctx, channelEntry{Channel: c})
}

// DeleteChannel ends a channel for the gateways as of version, and forgets its
// cursor and health. It does nothing when a newer version is there.
func (b *Bus) DeleteChannel(ctx context.Context, id events.ChannelID, version int64) error {
	gone := channelEntry{Channel: events.Channel{ID: id, Version: version}, Deleted: true}
	if err := b.swapChannel(ctx, gone); err != nil {
		return err
	}
	return errors.Join(b.kvDelete(ctx, cursorsBucket, string(id)), b.forgetReconciled(ctx, id), b.kvDelete(ctx, healthBucket, string(id)))
}

func (b *Bus) swapChannel(ctx context.Context, next channelEntry) error {
	key := string(next.ID)
	value, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("%w: channel %s: %w", ErrInvalid, key, err)
	}
	for {
		data, revision, err := b.kvGet(ctx, channelsBucket, key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		var have channelEntry
		if revision != 0 && json.Unmarshal(data, &have) == nil { // what is unreadable is replaced
			if have.Version > next.Version || have.Version == next.Version && (have.Deleted || !next.Deleted) {
				return nil
			}
		}
		if _, err = b.kvSwap(ctx, channelsBucket, key, value, revision); !errors.Is(err, errRace) {
			return err
		}
	}
}

// Channels lists the projected channels, by id.
func (b *Bus) Channels(ctx context.Context) ([]events.Channel, error) {
	var all []events.Channel
	err := b.kvEach(ctx, channelsBucket, func(v kvValue) error {
		var c channelEntry
		if err := kvDecode(channelsBucket, v.key, v.value, &c); err != nil {
			return err
		}
		if !c.Deleted {
			all = append(all, c.Channel)
		}
		return nil
	})
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	return all, err
}

// ChannelChange is one step of [Bus.WatchChannels].
type ChannelChange struct {
	// Ready says that everything there was at the start has been delivered; the
	// other fields are empty then.
	Ready bool
	// Deleted says that the channel is gone; only its ID is set then.
	Deleted bool
	Channel events.Channel
	// Err says why a projection cannot be used; Channel has its ID.
	Err error
}

// WatchChannels delivers every channel there is, then Ready once, then each
// change, until ctx ends and the Go channel closes. It survives lost
// connections. A channel changed quickly may be delivered in its last version
// only. If the bucket was replaced, all channels come again, and then Ready.
func (b *Bus) WatchChannels(ctx context.Context) (<-chan ChannelChange, error) {
	f, until, err := b.followChannels(ctx)
	if err != nil {
		return nil, err
	}
	out := make(chan ChannelChange)
	go func() {
		defer close(out)
		defer func() { f.close() }()
		for {
			err := b.deliverChannels(ctx, f, until, out)
			if !errors.Is(err, ErrReplaced) {
				return
			}
			b.log.Warn("channel projections were replaced, reading them anew", "error", err)
			err = retry(ctx, b.log, "watching channels", func(ctx context.Context) error {
				next, u, err := b.followChannels(ctx)
				if err == nil {
					f.close()
					f, until = next, u
				}
				return err
			})
			if err != nil {
				return
			}
		}
	}()
	return out, nil
}

// followChannels also says up to where the state of now reaches.
func (b *Bus) followChannels(ctx context.Context) (*follower[kvValue], uint64, error) {
	info, err := b.streamInfo(ctx, kvStream(channelsBucket))
	if err != nil {
		return nil, 0, err
	}
	until := info.State.LastSeq
	if info.State.Msgs == 0 {
		until = 0
	}
	f, err := follow(ctx, b, kvStream(channelsBucket), "", 0, decodeKV(channelsBucket))
	return f, until, err
}

func (b *Bus) deliverChannels(ctx context.Context, f *follower[kvValue], until uint64, out chan<- ChannelChange) error {
	send := func(c ChannelChange) error {
		select {
		case out <- c:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ready := until == 0
	if ready {
		if err := send(ChannelChange{Ready: true}); err != nil {
			return err
		}
	}
	for {
		values, err := f.next(ctx, maxBatch)
		if err != nil {
			return err
		}
		for _, v := range values {
			if err := send(channelChange(v)); err != nil {
				return err
			}
			// The message at until may have been replaced by one behind it.
			if !ready && (v.seq >= until || v.pending == 0) {
				ready = true
				if err := send(ChannelChange{Ready: true}); err != nil {
					return err
				}
			}
		}
	}
}

func channelChange(v kvValue) ChannelChange {
	gone := ChannelChange{Deleted: true, Channel: events.Channel{ID: events.ChannelID(v.key)}}
	if v.value == nil {
		return gone
	}
	var c channelEntry
	switch err := kvDecode(channelsBucket, v.key, v.value, &c); {
	case err != nil:
		return ChannelChange{Channel: events.Channel{ID: events.ChannelID(v.key)}, Err: err}
	case c.Deleted:
		return gone
	}
	return ChannelChange{Channel: c.Channel}
}
