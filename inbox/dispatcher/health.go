package dispatcher

import (
	"context"
	"log/slog"
	"time"

	"parley/events"
	"parley/inbox"
)

// health is what a channel's runner last found out about it as a sender; the
// empty state forgets what an older version of the channel suffered.
type health struct {
	channel events.Channel
	state   events.HealthState
	words   string
}

// fares notes how a channel fares. It does not block: the database is told by
// tellHealth.
func (d *Dispatcher) fares(ch events.Channel, state events.HealthState, words string) {
	if state != "" {
		d.opts.OnHealth(ch, state, words)
	}
	d.healthMu.Lock()
	d.untold[ch.ID] = health{channel: ch, state: state, words: words}
	d.healthMu.Unlock()
	select {
	case d.tell <- struct{}{}:
	default: // it is about to look
	}
}

// tellHealth stores how channels fare, for those who reply to know in advance,
// until ctx ends. The last state of a channel is what counts.
func (d *Dispatcher) tellHealth(ctx context.Context) {
	pauses := growing(100*time.Millisecond, 10*time.Second)
	for {
		select {
		case <-d.tell:
		case <-ctx.Done():
			return
		}
		for !d.storeHealth(ctx) {
			if !inbox.Pause(ctx, pauses.NextBackOff()) {
				return
			}
		}
		pauses.Reset()
	}
}

// storeHealth stores what is untold and reports whether that worked.
func (d *Dispatcher) storeHealth(ctx context.Context) bool {
	d.healthMu.Lock()
	list := d.untold
	d.untold = make(map[events.ChannelID]health)
	d.healthMu.Unlock()
	done := true
	for id, h := range list {
		call, cancel := context.WithTimeout(ctx, turnTimeout)
		err := d.db.ForgetSenderHealth(call, h.channel)
		if err == nil && h.state != "" {
			err = d.db.PutSenderHealth(call, h.channel, h.state, h.words)
		}
		cancel()
		if err == nil {
			continue
		}
		if ctx.Err() == nil {
			d.log.WarnContext(ctx, "a channel's health could not be stored yet", slog.String("channel", string(id)), slog.Any("error", err))
		}
		done = false
		d.healthMu.Lock()
		if _, newer := d.untold[id]; !newer {
			d.untold[id] = h
		}
		d.healthMu.Unlock()
	}
	return done
}
