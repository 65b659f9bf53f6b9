package desk

import (
	"context"
	"time"

	"parley/events"
	"parley/inbox"
)

// abilitiesFor is how long what the channels can do is remembered. It changes
// when an operator changes a channel, and the dispatcher looks again anyway.
const abilitiesFor = 2 * time.Second

// known is what a tenant's channels can do, as of some time ago.
type known struct {
	at  time.Time
	can map[events.ChannelID]inbox.Abilities
}

// abilities is what each of the tenant's channels can do. One whose adapter
// cannot be built is left out: nothing is refused for its sake in advance.
func (d *Desk) abilities(ctx context.Context, tenant events.TenantID) (map[events.ChannelID]inbox.Abilities, error) {
	d.mu.Lock()
	last, ok := d.can[tenant]
	d.mu.Unlock()
	if ok && time.Since(last.at) < abilitiesFor {
		return last.can, nil
	}
	now := known{at: time.Now(), can: make(map[events.ChannelID]inbox.Abilities)}
	channels, err := d.Store.Channels(ctx, tenant)
	if err != nil {
		return nil, err
	}
	for _, ch := range channels {
		adapter, ok := d.Adapters[ch.Transport]
		if !ok || adapter.Abilities == nil {
			continue
		}
		secrets, err := d.Keyring.OpenChannel(ch.Channel)
		if err != nil {
			continue // the dispatcher says so
		}
		if can, err := adapter.Abilities(ch.Channel, secrets); err == nil {
			now.can[ch.ID] = can
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.can == nil {
		d.can = make(map[events.TenantID]known)
	}
	d.can[tenant] = now
	return now.can, nil
}

// forgetAbilities makes the next look at the tenant's channels a fresh one.
func (d *Desk) forgetAbilities(tenant events.TenantID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.can, tenant)
}

// judge says for each way to reach a chat's client whether it is open.
func (d *Desk) judge(ctx context.Context, tenant events.TenantID, chat *inbox.Chat) error {
	can, err := d.abilities(ctx, tenant)
	if err != nil {
		return err
	}
	now := time.Now()
	for i := range chat.Routes {
		r := &chat.Routes[i]
		r.Judge(can[r.Channel], chat.Client.BlockedAt != nil, now)
	}
	return nil
}
