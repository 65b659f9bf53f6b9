package dispatcher

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/transports"
)

// Lease names: one per channel, and one per dispatcher so that they can count
// each other.
const (
	channelLease  = "dispatch:"
	presenceLease = "dispatcher:"
)

// supervise keeps this process's share of the channels until ctx ends, then
// stops them all.
func (d *Dispatcher) supervise(ctx context.Context) {
	var self *store.Lease
	for {
		self = d.announce(ctx, self)
		if self != nil {
			if err := d.refresh(ctx); err != nil && ctx.Err() == nil {
				d.log.WarnContext(ctx, "channels could not be looked up", slog.Any("error", err))
			}
		}
		if !d.untilLook(ctx) {
			break
		}
	}
	d.mu.Lock()
	for _, r := range d.runners {
		r.stop()
	}
	d.mu.Unlock()
	d.wg.Wait()
	if self != nil {
		d.release(ctx, *self)
	}
}

// untilLook waits until it is time to look at the channels again, and reports
// false when ctx ended first.
func (d *Dispatcher) untilLook(ctx context.Context) bool {
	timer := time.NewTimer(inbox.Around(d.opts.RefreshEvery))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.look:
		return true
	case <-ctx.Done():
		return false
	}
}

// announce renews this dispatcher's presence. Without one it takes no channels:
// the others would not leave it any.
func (d *Dispatcher) announce(ctx context.Context, self *store.Lease) *store.Lease {
	// Held longer than a channel's lease, because it is renewed less often.
	ttl := d.opts.LeaseTTL + 2*d.opts.RefreshEvery
	if self != nil {
		lease, err := d.db.RenewLease(ctx, *self, ttl)
		if err == nil {
			return &lease
		}
		if !errors.Is(err, store.ErrFenced) {
			return self
		}
	}
	// A row per process's life would add up.
	if err := d.db.SweepLeases(ctx, presenceLease, time.Hour); err != nil {
		return nil
	}
	lease, ok, err := d.db.AcquireLease(ctx, presenceLease+d.opts.Owner, d.opts.Owner, ttl)
	if err != nil || !ok {
		return nil
	}
	return &lease
}

func (d *Dispatcher) release(ctx context.Context, lease store.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := d.db.ReleaseLease(ctx, lease); err != nil {
		d.log.WarnContext(ctx, "a lease could not be given back; it will run out", slog.String("lease", lease.Name), slog.Any("error", err))
	}
}

// refresh brings the runners in line with the channels there are and with this
// process's share of them.
func (d *Dispatcher) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.opts.LeaseTTL)
	defer cancel()
	all, err := d.db.WorkerChannels(ctx)
	if err != nil {
		return err
	}
	present, err := d.db.LiveLeases(ctx, presenceLease)
	if err != nil {
		return err
	}
	taken, err := d.db.LiveLeases(ctx, channelLease)
	if err != nil {
		return err
	}
	wanted := make(map[events.ChannelID]events.Channel, len(all))
	for _, ch := range all {
		if _, ok := d.opts.Factories[ch.Transport]; ok && !ch.Paused {
			wanted[ch.ID] = ch
		}
	}
	share := fairShare(len(wanted), len(present))
	d.metrics.held.Set(float64(d.drop(wanted, share)))
	free := free(wanted, taken)
	// Not everybody asks for the same channel first.
	rotate(free, d.opts.Owner)
	for _, ch := range free {
		if d.count() >= share {
			break
		}
		if err := d.take(ctx, ch); err != nil {
			return err
		}
	}
	return nil
}

// fairShare is how many of the channels one of the dispatchers holds at most.
// The shares of all suffice for every channel.
func fairShare(channels, dispatchers int) int {
	dispatchers = max(dispatchers, 1)
	return (channels + dispatchers - 1) / dispatchers
}

// free lists the wanted channels whose leases nobody holds, by id.
func free(wanted map[events.ChannelID]events.Channel, taken []store.Lease) []events.Channel {
	held := make(map[events.ChannelID]bool, len(taken))
	for _, l := range taken {
		held[events.ChannelID(strings.TrimPrefix(l.Name, channelLease))] = true
	}
	var list []events.Channel
	for id, ch := range wanted {
		if !held[id] {
			list = append(list, ch)
		}
	}
	slices.SortFunc(list, func(a, b events.Channel) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list
}

// rotate starts the list at a place that depends on who asks.
func rotate(list []events.Channel, owner string) {
	if len(list) == 0 {
		return
	}
	var sum int
	for _, b := range []byte(owner) {
		sum = (sum*31 + int(b)) % len(list)
	}
	slices.Reverse(list[:sum])
	slices.Reverse(list[sum:])
	slices.Reverse(list)
}

// count counts the channels held that are not being given away.
func (d *Dispatcher) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, r := range d.runners {
		if !r.stopping() {
			n++
		}
	}
	return n
}

// drop stops what is no longer wanted or beyond the share, tells the rest of
// changes, and returns how many are left.
func (d *Dispatcher) drop(wanted map[events.ChannelID]events.Channel, share int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := 0
	for id, r := range d.runners {
		ch, ok := wanted[id]
		if r.stopping() {
			continue
		}
		if !ok || left >= share {
			r.stop()
			continue
		}
		left++
		if ch.Version > r.version {
			d.change(r, ch)
		}
	}
	return left
}

// change gives a runner the adapter of its channel's new version. One that
// cannot be built stops the channel: its old secrets or settings were replaced
// for a reason.
func (d *Dispatcher) change(r *runner, ch events.Channel) {
	a, err := d.build(ch)
	if err != nil {
		d.cannotBuild(ch, err)
		r.stop()
		return
	}
	r.version = ch.Version
	d.fares(ch, "", "")
	r.adapt(a)
}

// take leases a channel and starts its runner, if it is still free.
func (d *Dispatcher) take(ctx context.Context, ch events.Channel) error {
	d.mu.Lock()
	_, running := d.runners[ch.ID] // its last one may still be finishing
	d.mu.Unlock()
	version, broken := d.broken[ch.ID]
	if running || broken && version == ch.Version {
		return nil
	}
	a, err := d.build(ch)
	if err != nil {
		d.cannotBuild(ch, err)
		return nil
	}
	asked := time.Now()
	lease, ok, err := d.db.AcquireLease(ctx, channelLease+string(ch.ID), d.opts.Owner, d.opts.LeaseTTL)
	if err != nil || !ok {
		return err
	}
	r := newRunner(d, ch, a, lease, asked.Add(d.opts.LeaseTTL))
	delete(d.broken, ch.ID)
	d.fares(ch, "", "")
	d.mu.Lock()
	d.runners[ch.ID] = r
	d.mu.Unlock()
	d.wg.Go(func() {
		r.run(context.WithoutCancel(ctx))
		d.mu.Lock()
		delete(d.runners, ch.ID)
		d.mu.Unlock()
		d.lookNow() // for who wants it back already
	})
	return nil
}

// adapter is a channel's transport, as far as sending is concerned.
type adapter struct {
	// channel is the version of it that the adapter was built from.
	channel   events.Channel
	transport transports.Transport
	sender    transports.Sender
	caps      transports.Capabilities
}

func (d *Dispatcher) build(ch events.Channel) (adapter, error) {
	secrets, err := d.opts.OpenSecrets(ch)
	if err != nil {
		return adapter{}, err
	}
	t, err := d.opts.Factories[ch.Transport](transports.Account{
		Channel: ch, Secrets: secrets, HTTPClient: d.opts.HTTPClient, PublicURL: d.opts.PublicURL,
	})
	if err != nil {
		return adapter{}, err
	}
	sender, ok := t.(transports.Sender)
	if !ok {
		return adapter{}, errors.New("this kind of channel cannot send")
	}
	return adapter{channel: ch, transport: t, sender: sender, caps: t.Capabilities()}, nil
}

// cannotBuild says once per version why a channel cannot be sent on.
func (d *Dispatcher) cannotBuild(ch events.Channel, err error) {
	if d.broken[ch.ID] == ch.Version {
		return
	}
	d.broken[ch.ID] = ch.Version
	d.log.Error("a channel cannot send until it is changed",
		slog.String("channel", string(ch.ID)), slog.String("transport", string(ch.Transport)), slog.Any("error", err))
	d.fares(ch, events.NeedsAttention, err.Error())
}
