package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"parley/events"
	"parley/events/jetstream"
)

// follower keeps the accounts in step with the channels. But for wait, it is
// used from Run's goroutine only.
type follower struct {
	g       *Gateway
	ctx     context.Context
	running map[events.ChannelID]*tending
	tasks   sync.WaitGroup
}

// tending is an account's goroutine.
type tending struct {
	stop context.CancelFunc
	done chan struct{}
}

func newFollower(ctx context.Context, g *Gateway) *follower {
	return &follower{g: g, ctx: ctx, running: make(map[events.ChannelID]*tending)}
}

// follow takes in what the bus tells until it ends, and calls loaded once all
// there is was told.
func (f *follower) follow(loaded func()) error {
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	changes, err := f.g.bus.WatchChannels(ctx)
	if err != nil {
		return err
	}
	for c := range changes {
		f.take(c, loaded)
	}
	return errors.New("the bus stopped telling about channels")
}

func (f *follower) take(c jetstream.ChannelChange, loaded func()) {
	switch {
	case c.Ready:
		f.g.table.setLoaded()
		loaded()
	case c.Err != nil:
		// Whatever runs is better than nothing.
		f.g.log.LogAttrs(f.ctx, slog.LevelError, "channel projection cannot be read, its last version stays",
			slog.String("channel", string(c.Channel.ID)), slog.Any("error", c.Err))
	case c.Deleted:
		f.remove(c.Channel.ID)
	default:
		f.put(c.Channel)
	}
}

// put starts what is newer than what runs. A repeated listing repeats what is
// known already.
func (f *follower) put(ch events.Channel) {
	if old := f.g.table.byID(ch.ID); old != nil && ch.Version <= old.ch.Version {
		return
	}
	acc := f.g.build(ch)
	f.g.table.put(acc)
	var previous <-chan struct{}
	if old := f.running[ch.ID]; old != nil {
		old.stop()
		previous = old.done
	}
	ctx, stop := context.WithCancel(f.ctx)
	t := &tending{stop: stop, done: make(chan struct{})}
	f.running[ch.ID] = t
	f.tasks.Go(func() {
		defer close(t.done)
		defer stop()
		f.g.tend(ctx, acc, previous)
	})
	f.g.metrics.channels.Set(float64(f.g.table.size()))
	f.g.log.LogAttrs(f.ctx, slog.LevelInfo, "channel loaded", append(acc.logAttrs(),
		slog.Int64("version", ch.Version), slog.String("mode", string(ch.Mode)), slog.Bool("paused", ch.Paused))...)
}

func (f *follower) remove(id events.ChannelID) {
	acc := f.g.table.byID(id)
	if acc == nil {
		return
	}
	f.g.table.remove(id)
	f.running[id].stop()
	// It stays in running: should the channel come back, it waits for this end.
	f.g.metrics.channels.Set(float64(f.g.table.size()))
	f.g.log.LogAttrs(f.ctx, slog.LevelInfo, "channel gone", acc.logAttrs()...)
}

// wait waits for every account's goroutine, or for ctx.
func (f *follower) wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.tasks.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
