package events

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
