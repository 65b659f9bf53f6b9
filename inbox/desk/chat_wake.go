package desk

import (
	"context"
	"time"

	"parley/inbox"
)

// Snoozed chats are looked for this often, so many at a time.
const (
	wakeEvery = 5 * time.Second
	wakeBatch = 1000
)

// WakeChats opens snoozed chats once their time has come, until ctx ends. Several
// replicas may do so at the same time.
func (d *Desk) WakeChats(ctx context.Context) {
	for inbox.Pause(ctx, wakeEvery) {
		for {
			n, err := d.Store.WakeChats(ctx, wakeBatch)
			if err != nil && ctx.Err() == nil {
				d.log().WarnContext(ctx, "snoozed chats stay snoozed, will be tried again", "error", err)
			}
			if err != nil || n < wakeBatch {
				break
			}
		}
	}
}
