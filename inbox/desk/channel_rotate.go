package desk

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// Rotation is new secrets of a channel.
type Rotation struct {
	Tenant events.TenantID
	// Channel names it like [Desk.Channel].
	Channel string
	// Secrets replace those of the same names; an empty one is taken away. The
	// others stay.
	Secrets map[string]string
	// Webhook gives the channel a new address to be called at, too.
	Webhook bool
	// Unchecked skips asking the provider whether the secrets are right.
	Unchecked bool
}

// ChannelRotate replaces secrets of a channel, after asking its provider whether
// they are right and still the same account's, and tells the gateways and
// dispatchers. It fails as [Desk.ChannelAdd] does.
func (d *Desk) ChannelRotate(ctx context.Context, r Rotation) (store.Channel, error) {
	ch, err := d.Channel(ctx, r.Tenant, r.Channel)
	if err != nil {
		return store.Channel{}, err
	}
	if len(r.Secrets) == 0 && !r.Webhook {
		return store.Channel{}, &inbox.Error{Code: inbox.Invalid, Message: "There is nothing to rotate.", Hint: "Give new secrets, or ask for a new webhook address."}
	}
	adapter, err := d.adapter(ch.Transport)
	if err != nil {
		return store.Channel{}, err
	}
	var sealed []byte
	if len(r.Secrets) > 0 {
		if sealed, err = d.rotated(ctx, ch, adapter, r); err != nil {
			return store.Channel{}, err
		}
	}
	path := ""
	if r.Webhook {
		path = newSecret()
	}
	stored, err := d.Store.RotateChannel(ctx, r.Tenant, ch.ID, sealed, path)
	if err != nil {
		return store.Channel{}, err
	}
	d.project(ctx, stored)
	return stored, nil
}

// rotated are the channel's secrets with the new ones, sealed.
func (d *Desk) rotated(ctx context.Context, ch store.Channel, adapter Adapter, r Rotation) ([]byte, error) {
	secrets, err := d.Keyring.OpenChannel(ch.Channel)
	if err != nil {
		return nil, err
	}
	secrets = maps.Clone(secrets)
	known := slices.Concat(adapter.Secrets, adapter.Optional, []string{adapter.WebhookSecret})
	for name, value := range r.Secrets {
		switch _, there := secrets[name]; {
		case name == "" || !there && !slices.Contains(known, name):
			known = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(known))), func(s string) bool { return s == "" })
			return nil, &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("A %s channel has no secret %q.", ch.Transport, name),
				Hint: "It knows: " + strings.Join(known, ", ") + ".",
			}
		case value == "":
			delete(secrets, name)
		default:
			secrets[name] = value
		}
	}
	if err := d.checkNew(ch.Channel, adapter, secrets); err != nil {
		return nil, err
	}
	if !r.Unchecked {
		report, err := d.ask(ctx, ch.Channel, adapter, secrets)
		if err != nil {
			return nil, err
		}
		if ch.Account != "" && report.Account != "" && report.Account != ch.Account {
			return nil, &inbox.Error{
				Code:    inbox.Conflict,
				Message: fmt.Sprintf("These secrets are of %s; channel %q is %s.", report.Account, ch.Name, ch.Account),
				Hint:    "Add another account as a channel of its own: its clients are other people's.",
			}
		}
	}
	return d.Keyring.Seal(string(ch.ID), secrets)
}

// ChannelReconcile has a channel compared with what its provider has, by
// whichever gateway holds it, within about a minute: what is missing is stored.
// It fails with Refused where the channel rests or its provider cannot list what
// it has.
func (d *Desk) ChannelReconcile(ctx context.Context, tenant events.TenantID, ref string) (store.Channel, error) {
	ch, err := d.Channel(ctx, tenant, ref)
	if err != nil {
		return store.Channel{}, err
	}
	can, err := d.abilities(ctx, tenant)
	if err != nil {
		return store.Channel{}, err
	}
	switch {
	case ch.Paused:
		return store.Channel{}, &inbox.Error{Code: inbox.Refused, Message: fmt.Sprintf("Channel %q is paused.", ch.Name), Hint: "Resume it: it is then compared by itself."}
	case !can[ch.ID].Lists:
		return store.Channel{}, &inbox.Error{
			Code: inbox.Refused, Message: fmt.Sprintf("The provider of channel %q cannot list what it has.", ch.Name),
			Hint: "What it holds for us comes by itself; parley channel check shows how much that is.",
		}
	}
	return ch, d.Bus.AskReconcile(ctx, ch.ID)
}
