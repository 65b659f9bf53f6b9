package desk

import (
	"context"
	"time"

	"parley/inbox"
	"parley/store"
)

// Schedule keeps an agent's answer until it is due; see [store.DB.Schedule].
func (d *Desk) Schedule(ctx context.Context, r Reply, at time.Time, unlessAnswered bool) (inbox.Scheduled, error) {
	out, err := d.compose(ctx, r)
	if err != nil {
		return inbox.Scheduled{}, err
	}
	return d.Store.Schedule(ctx, store.NewScheduled{Reply: out, DueAt: at, UnlessAnswered: unlessAnswered})
}
