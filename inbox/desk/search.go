package desk

import (
	"context"
	"time"
)

const (
	// searchDelay is how old a row is at least when its words are written; see
	// store.IndexWords.
	searchDelay = 500 * time.Millisecond
	// searchPoll is how often it is looked for new rows.
	searchPoll = 500 * time.Millisecond
	// searchRest is how long indexing rests after each batch, in times that the
	// batch took: what comes in goes first.
	searchRest = 3
)

// IndexSearch keeps what can be searched up to date until ctx ends, in one process
// of all that run it. Owner names this process's life.
func (d *Desk) IndexSearch(ctx context.Context, owner string) {
	d.leased(ctx, "search-index", owner, func(ctx context.Context) {
		for ctx.Err() == nil {
			began := time.Now()
			n, all, err := d.Store.IndexWords(ctx, searchDelay)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				d.log().WarnContext(ctx, "search falls behind, trying again", "error", err)
				pause(ctx, 5*time.Second)
			case all:
				pause(ctx, searchPoll)
			case n == 0:
				pause(ctx, searchDelay/5)
			default:
				pause(ctx, searchRest*time.Since(began))
			}
		}
	})
}
