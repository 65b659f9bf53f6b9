package store

import (
	"context"

	"parley/events"
)

// WorkerChannels lists every tenant's channels as the workers use them.
func (db *DB) WorkerChannels(ctx context.Context) ([]events.Channel, error) {
	all, err := db.AllChannels(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]events.Channel, len(all))
	for i := range all {
		list[i] = all[i].Channel
	}
	return list, nil
}
