package desk

import (
	"context"
	"time"

	"parley/events"
)

// typingEvery is how often a chat's client is shown at most that somebody writes.
// Telegram shows it for five seconds
// (https://core.telegram.org/bots/api#sendchataction).
const typingEvery = 4 * time.Second

// mostTyped is how many chats are remembered before those are forgotten that may
// be shown again.
const mostTyped = 1000

// typedIn is where somebody types.
type typedIn struct {
	tenant  events.TenantID
	chat    int64
	channel string
}

// Typing shows a chat's client that somebody writes to them, on the channel that a
// reply would take or the named one; see [store.DB.ShowTyping]. More often than
// every four seconds it does nothing, and reports true.
func (d *Desk) Typing(ctx context.Context, tenant events.TenantID, chat int64, channel string) (shown bool, err error) {
	where := typedIn{tenant, chat, channel}
	if d.typedLately(where, time.Now()) {
		return true, nil
	}
	var id events.ChannelID
	if channel != "" {
		ch, err := d.Channel(ctx, tenant, channel)
		if err != nil {
			return false, err
		}
		id = ch.ID
	}
	can, err := d.abilities(ctx, tenant)
	if err != nil {
		return false, err
	}
	shown, err = d.Store.ShowTyping(ctx, tenant, chat, id, can)
	if shown {
		d.noteTyped(where, time.Now())
	}
	return shown, err
}

func (d *Desk) typedLately(where typedIn, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now.Sub(d.typed[where]) < typingEvery
}

func (d *Desk) noteTyped(where typedIn, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.typed == nil {
		d.typed = make(map[typedIn]time.Time)
	}
	if len(d.typed) >= mostTyped {
		for old, at := range d.typed {
			if now.Sub(at) >= typingEvery {
				delete(d.typed, old)
			}
		}
	}
	d.typed[where] = now
}
