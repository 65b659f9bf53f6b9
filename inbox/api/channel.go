package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
)

// Channel is a connected account, without its secrets and webhook path.
type Channel struct {
	ID        events.ChannelID   `json:"id"`
	Transport events.Transport   `json:"transport"`
	Name      string             `json:"name"`
	Mode      events.ChannelMode `json:"mode" enum:"webhook,polling"`
	Account   string             `json:"account,omitempty" doc:"The account's name at the provider, once checked."`
	Country   string             `json:"country,omitempty"`
	Settings  map[string]string  `json:"settings,omitempty"`
	Paused    bool               `json:"paused"`
	// State is the worse of what gateway and dispatcher last reported.
	State     events.HealthState `json:"state,omitempty" doc:"The worse of what gateway and dispatcher last reported; absent when nothing yet." enum:"connected,degraded,needs_attention"`
	Since     *time.Time         `json:"since,omitempty" doc:"Since when it is in that state."`
	Error     string             `json:"error,omitempty" doc:"Why it is not connected, in plain words."`
	CreatedAt time.Time          `json:"created_at"`
	Version   int64              `json:"version" doc:"Raised with each change; the ETag of the channel."`
}

// ChannelCheck is how a channel fares.
type ChannelCheck struct {
	Channel
	Report *desk.Report `json:"report,omitempty" doc:"The provider's answer just now; absent when it gave none."`
	Words  []string     `json:"words" nullable:"false" doc:"What that means, one sentence each."`
}

func channelView(c store.Channel, h events.ChannelHealth) Channel {
	view := Channel{
		ID: c.ID, Transport: c.Transport, Name: c.Name, Mode: c.Mode, Account: c.Account, Country: c.Country,
		Settings: c.Settings, Paused: c.Paused, CreatedAt: c.CreatedAt, Version: c.Version,
		State: h.State, Error: h.Error,
	}
	if !h.Since.IsZero() {
		view.Since = &h.Since
	}
	return view
}

// faring shows a channel with what is known of its health.
func (a *api) faring(ctx context.Context, c store.Channel) Channel {
	health, err := a.Desk.Health(ctx)
	if err != nil {
		a.log.WarnContext(ctx, "channel health not read", "error", err)
	}
	return channelView(c, health[c.ID])
}

// ChannelRef names a channel. It is exported because huma skips embedded fields
// that are not.
type ChannelRef struct {
	ForTenant
	Channel string `path:"channel" doc:"The channel's id, name, or transport where there is one of it."`
}

type newChannel struct {
	ForTenant
	ForKey
	Body struct {
		Transport events.Transport   `json:"transport" doc:"The network, such as telegram."`
		Name      string             `json:"name" minLength:"1" maxLength:"100" doc:"What people call it."`
		Mode      events.ChannelMode `json:"mode,omitempty" enum:"webhook,polling" doc:"How messages arrive; the transport's usual way when absent."`
		Country   string             `json:"country,omitempty" doc:"ISO 3166 region of phone numbers without prefix."`
		Settings  map[string]string  `json:"settings,omitempty" doc:"The adapter's settings, such as api_url."`
		Secrets   map[string]string  `json:"secrets,omitempty" doc:"The adapter's secrets, such as token. They are sealed and never shown again."`
		Unchecked bool               `json:"unchecked,omitempty" doc:"Do not ask the provider whether the secrets are right."`
	}
}

type changeChannel struct {
	ChannelRef
	ForVersion
	Body struct {
		Name     *string             `json:"name,omitempty" minLength:"1" maxLength:"100"`
		Mode     *events.ChannelMode `json:"mode,omitempty" enum:"webhook,polling"`
		Country  *string             `json:"country,omitempty" maxLength:"2" doc:"Empty for none."`
		Settings map[string]string   `json:"settings,omitempty" doc:"All of them: those that are left out are removed."`
	}
}

func channelVersion(c Channel) int64 { return c.Version }

func (a *api) channels(h huma.API) {
	handle(a, h, huma.Operation{
		OperationID: "list-channels", Method: http.MethodGet, Path: "/api/v1/channels", Summary: "List channels by name",
	}, func(ctx context.Context, in *ForTenant) (List[Channel], error) {
		tenant, err := a.tenant(ctx, *in)
		if err != nil {
			return List[Channel]{}, err
		}
		cs, err := a.Desk.Channels(ctx, tenant)
		if err != nil {
			return List[Channel]{}, err
		}
		// A bus out of reach leaves the health open: the list is still worth having.
		health, err := a.Desk.Health(ctx)
		if err != nil {
			a.log.WarnContext(ctx, "channel health not read", "error", err)
		}
		views := make([]Channel, len(cs))
		for i, c := range cs {
			views[i] = channelView(c, health[c.ID])
		}
		return list(views, ""), nil
	})
	handleTagged(a, h, huma.Operation{
		OperationID: "add-channel", Method: http.MethodPost, Path: "/api/v1/channels", Summary: "Connect an account",
		Description:   "Checks the secrets with the provider, seals and stores them, and starts the channel.",
		DefaultStatus: http.StatusCreated,
	}, channelVersion, func(ctx context.Context, in *newChannel) (Channel, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return Channel{}, err
		}
		b := &in.Body
		c, err := a.Desk.ChannelAdd(ctx, desk.NewChannel{
			Tenant: tenant, Transport: b.Transport, Name: b.Name, Mode: b.Mode, Country: b.Country,
			Settings: b.Settings, Secrets: b.Secrets, Unchecked: b.Unchecked, Key: in.Key,
			Guarded: access.From(ctx).Kind != inbox.Operator,
		})
		return channelView(c, events.ChannelHealth{}), err
	})
	handleTagged(a, h, huma.Operation{
		OperationID: "get-channel", Method: http.MethodGet, Path: "/api/v1/channels/{channel}", Summary: "Show a channel and how it fares",
		Description: "What gateway and dispatcher last reported; checking asks the provider, too.",
	}, channelVersion, func(ctx context.Context, in *ChannelRef) (Channel, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return Channel{}, err
		}
		c, err := a.Desk.Channel(ctx, tenant, in.Channel)
		if err != nil {
			return Channel{}, err
		}
		return a.faring(ctx, c), nil
	})
	handleTagged(a, h, huma.Operation{
		OperationID: "change-channel", Method: http.MethodPatch, Path: "/api/v1/channels/{channel}", Summary: "Change a channel's name or settings",
		Description: "Takes the ETag that was read as If-Match: 428 without, 412 when somebody else has changed the channel since. Its secrets stay.",
	}, channelVersion, func(ctx context.Context, in *changeChannel) (Channel, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return Channel{}, err
		}
		version, err := in.needed()
		if err != nil {
			return Channel{}, err
		}
		b := &in.Body
		c, err := a.Desk.ChannelChange(ctx, tenant, in.Channel, desk.ChannelChange{
			Name: b.Name, Mode: b.Mode, Country: b.Country, Settings: b.Settings, Version: version,
			Guarded: access.From(ctx).Kind != inbox.Operator,
		})
		if err != nil {
			return Channel{}, err
		}
		return a.faring(ctx, c), nil
	})
	handle(a, h, huma.Operation{
		OperationID: "check-channel", Method: http.MethodPost, Path: "/api/v1/channels/{channel}/check",
		Summary: "Ask the gateway and the provider how a channel fares",
	}, func(ctx context.Context, in *ChannelRef) (ChannelCheck, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return ChannelCheck{}, err
		}
		health, err := a.Desk.ChannelCheck(ctx, tenant, in.Channel)
		if err != nil {
			return ChannelCheck{}, err
		}
		return ChannelCheck{Channel: channelView(health.Channel, health.ChannelHealth), Report: health.Report, Words: health.Words}, nil
	})
	for _, op := range []struct {
		verb, summary string
		paused        bool
	}{
		{"pause", "Stop a channel from accepting and sending", true},
		{"resume", "Let a paused channel go on", false},
	} {
		handle(a, h, huma.Operation{
			OperationID: op.verb + "-channel", Method: http.MethodPost, Path: "/api/v1/channels/{channel}/" + op.verb,
			Summary: op.summary,
		}, func(ctx context.Context, in *ChannelRef) (Channel, error) {
			tenant, err := a.tenant(ctx, in.ForTenant)
			if err != nil {
				return Channel{}, err
			}
			c, err := a.Desk.ChannelPause(ctx, tenant, in.Channel, op.paused)
			return channelView(c, events.ChannelHealth{}), err
		})
	}
}
