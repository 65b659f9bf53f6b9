package desk

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"parley/events"
	"parley/store"
)

// projectEvery is how often the projection is compared with its truth. It only
// has to heal what a crash left undone.
const projectEvery = 30 * time.Second

// projectTimeout bounds telling the bus while a person waits.
const projectTimeout = 5 * time.Second

// project tells the gateways about a committed change. A failure is not the
// caller's: the change is stored, and ProjectChannels makes up for it.
func (d *Desk) project(ctx context.Context, ch store.Channel) {
	d.forgetAbilities(ch.Tenant)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), projectTimeout)
	defer cancel()
	if err := d.Bus.PutChannel(ctx, ch.Channel); err != nil {
		d.log().WarnContext(ctx, "channel not projected yet, will be tried again", "channel", ch.ID, "error", err)
	}
}

// ProjectChannels keeps the bus's projection of the channels like PostgreSQL
// has them, at once and then periodically, until ctx ends. Several replicas may
// do so at the same time: an older version never replaces a newer one.
func (d *Desk) ProjectChannels(ctx context.Context) {
	for {
		if err := d.Project(ctx); err != nil && ctx.Err() == nil {
			d.log().WarnContext(ctx, "channels not projected, will be tried again", "error", err)
		}
		// Spread, so that replicas do not all ask at once.
		timer := time.NewTimer(projectEvery + rand.N(projectEvery/4)) //nolint:gosec // no secret
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// Project compares once and writes what differs.
func (d *Desk) Project(ctx context.Context) error {
	// The bus is read first: what PostgreSQL does not have afterwards is gone for
	// good, and not a channel that is being added.
	projected := map[events.ChannelID]int64{}
	known, err := d.Bus.Channels(ctx)
	if err != nil {
		return err
	}
	for _, ch := range known {
		projected[ch.ID] = ch.Version
	}
	truth, err := d.Store.AllChannels(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, ch := range truth {
		version, ok := projected[ch.ID]
		delete(projected, ch.ID)
		if ok && version == ch.Version {
			continue
		}
		failed = append(failed, d.Bus.PutChannel(ctx, ch.Channel))
	}
	for id, version := range projected {
		failed = append(failed, d.Bus.DeleteChannel(ctx, id, version))
	}
	return errors.Join(failed...)
}
