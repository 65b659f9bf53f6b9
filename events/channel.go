package events

import (
	"maps"
	"time"
)

// Channel is one connected account as the gateway needs to know it: PostgreSQL
// is its truth, the bus carries a projection so that accepting survives the
// database.
type Channel struct {
	ID        ChannelID `json:"id"`
	Tenant    TenantID  `json:"tenant"`
	Transport Transport `json:"transport"`
	// Name is for people.
	Name string `json:"name"`
	// Mode says how inbound traffic arrives.
	Mode ChannelMode `json:"mode"`
	// WebhookPath is the unguessable last path segment of its webhook URL.
	WebhookPath string `json:"webhook_path"`
	// Country is the ISO 3166 default region for phone numbers without prefix.
	Country string `json:"country,omitempty"`
	// Settings are the adapter's public settings, such as "api_url".
	Settings map[string]string `json:"settings,omitempty"`
	// Sealed holds the secrets, encrypted; see inbox.Keyring.
	Sealed []byte `json:"sealed,omitempty"`
	// Paused channels neither accept nor send.
	Paused bool `json:"paused,omitempty"`
	// Version rises with every change; an older projection never replaces a
	// newer one.
	Version int64 `json:"version"`
}

// settingGuarded is the setting, set by Parley itself, of a [Channel.Guarded].
const settingGuarded = "guarded"

// Guard lets a channel connect to public addresses only, from now on.
func (c *Channel) Guard() {
	settings := map[string]string{settingGuarded: "yes"}
	for name, value := range c.Settings {
		if name != settingGuarded {
			settings[name] = value
		}
	}
	c.Settings = settings
}

// Guarded reports whether a channel may connect to public addresses only: one that
// was added by somebody who may not reach what the server can.
func (c *Channel) Guarded() bool { return c.Settings[settingGuarded] != "" }

// Unguarded is the channel as its adapter knows it.
func (c Channel) Unguarded() Channel {
	c.Settings = maps.Clone(c.Settings)
	delete(c.Settings, settingGuarded)
	return c
}

// ChannelMode says how inbound traffic arrives.
type ChannelMode string

// The channel modes.
const (
	Webhook ChannelMode = "webhook"
	Polling ChannelMode = "polling"
)

// HealthState of a channel.
type HealthState string

// The health states. Only refused credentials make a channel need attention.
const (
	Connected      HealthState = "connected"
	Degraded       HealthState = "degraded"
	NeedsAttention HealthState = "needs_attention"
)

// ChannelHealth is how a channel fares, as its gateway sees it.
type ChannelHealth struct {
	Channel ChannelID   `json:"channel"`
	State   HealthState `json:"state"`
	// Error is the last failure in words for people, without secrets.
	Error string `json:"error,omitempty"`
	// Since is when the channel came into this state.
	Since time.Time `json:"since"`
	// Pending is how many updates wait at the provider; -1 when it does not say.
	Pending int `json:"pending"`
	// CheckedAt is when the gateway last looked.
	CheckedAt time.Time `json:"checked_at,omitzero"`
}
