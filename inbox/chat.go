package inbox

import (
	"time"

	"parley/events"
)

// Client is a person who writes to the business.
type Client struct {
	ID        int64      `json:"id"`
	FirstName string     `json:"first_name"`
	LastName  string     `json:"last_name,omitempty"`
	Phone     string     `json:"phone,omitempty"`
	Email     string     `json:"email,omitempty"`
	BlockedAt *time.Time `json:"blocked_at,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
}

// Chat is the one conversation with a client.
type Chat struct {
	ID            int64      `json:"id"`
	Client        Client     `json:"client"`
	LastMessageAt *time.Time `json:"last_message_at,omitempty"`
	// LastSeq is the newest message's seq: what a reply says it has seen.
	LastSeq int64 `json:"last_seq"`
	Unread  int64 `json:"unread"`
	// Last is the newest message in short, empty when there is none.
	Last string `json:"last,omitempty"`
	// Routes are the ways this client can be answered.
	Routes []Route `json:"routes,omitempty"`
}

// Route is one way to reach a client: them on one channel.
type Route struct {
	Channel   events.ChannelID `json:"channel"`
	Name      string           `json:"name"`
	Transport events.Transport `json:"transport"`
	// Address is where a reply goes, in the provider's terms.
	Address string `json:"address"`
	// LastInboundAt is when the client last wrote there.
	LastInboundAt *time.Time `json:"last_inbound_at,omitempty"`
	// Unreachable says why the provider refuses to deliver, empty when it does
	// not.
	Unreachable string `json:"unreachable,omitempty"`
	Paused      bool   `json:"paused,omitempty"`
	// State says whether a message can go this way now, and Reason in words why
	// it cannot.
	State  RouteState `json:"state,omitempty"`
	Reason string     `json:"reason,omitempty"`
	// WindowEndsAt is when free text is no longer taken, nil when it always is.
	WindowEndsAt *time.Time `json:"window_ends_at,omitempty"`
	// Can is what the account can do, nil when nobody asked.
	Can *Abilities `json:"can,omitempty"`

	// window is when the client's last message counts from, trouble why the
	// account cannot send.
	window  *time.Time
	trouble string
}
