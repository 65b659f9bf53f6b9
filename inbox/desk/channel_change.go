package desk

import (
	"context"
	"maps"
	"strings"

	"parley/events"
	"parley/store"
)

// ChannelChange is what to change of a channel; nil fields stay.
type ChannelChange struct {
	Name    *string
	Mode    *events.ChannelMode
	Country *string
	// Settings replace all of them, unless nil.
	Settings map[string]string
	// Version is the one that was read, 0 for any.
	Version int64
	// Guarded guards the channel, if the settings change; see [NewChannel].
	Guarded bool
}

// ChannelChange changes how a channel is called and set up; its secrets stay. It
// fails with Invalid when the channel could not work like that, with Conflict
// when the name is another one's, and with Changed when somebody else has changed
// it since that version.
func (d *Desk) ChannelChange(ctx context.Context, tenant events.TenantID, ref string, c ChannelChange) (store.Channel, error) {
	ch, err := d.Channel(ctx, tenant, ref)
	if err != nil {
		return store.Channel{}, err
	}
	adapter, err := d.adapter(ch.Transport)
	if err != nil {
		return store.Channel{}, err
	}
	secrets, err := d.Keyring.OpenChannel(ch.Channel)
	if err != nil {
		return store.Channel{}, err
	}
	wanted := ch.Channel
	if c.Name != nil {
		wanted.Name = strings.TrimSpace(*c.Name)
		c.Name = &wanted.Name
	}
	if c.Mode != nil {
		wanted.Mode = *c.Mode
	}
	if c.Country != nil {
		wanted.Country = strings.ToUpper(*c.Country)
		c.Country = &wanted.Country
	}
	if c.Settings != nil {
		wanted.Settings = c.Settings
		if c.Guarded && !maps.Equal(wanted.Unguarded().Settings, ch.Unguarded().Settings) {
			wanted.Guard()
			c.Settings = wanted.Settings
		}
	}
	if err := d.checkNew(wanted, adapter, secrets); err != nil {
		return store.Channel{}, err
	}
	ch, err = d.Store.UpdateChannel(ctx, tenant, ch.ID, store.ChannelChange{
		Name: c.Name, Mode: c.Mode, Country: c.Country, Settings: c.Settings, IfVersion: c.Version,
	})
	if err != nil {
		return store.Channel{}, err
	}
	d.project(ctx, ch)
	return ch, nil
}
