package inbox

import (
	"time"

	"parley/events"
)

// ChatStatus is where a chat stands with the business.
type ChatStatus string

// The statuses. A client's message opens a chat, whichever it had.
const (
	ChatOpen    ChatStatus = "open"
	ChatSnoozed ChatStatus = "snoozed" // out of sight until a time
	ChatClosed  ChatStatus = "closed"
)

// Chat is the one conversation with a client.
type Chat struct {
	ID            int64      `json:"id"`
	Client        Client     `json:"client"`
	LastMessageAt *time.Time `json:"last_message_at,omitempty"`
	// LastSeq is the newest message's seq: what a reply says it has seen.
	LastSeq int64 `json:"last_seq"`
	Unread  int64 `json:"unread" doc:"How many of the client's messages are unread; 100 means that many or more."`
	// Last is the newest message in short, empty when there is none.
	Last string `json:"last,omitempty"`
	// LastDirection and LastTransport are the newest message's.
	LastDirection Direction        `json:"last_direction,omitempty" enum:"in,out"`
	LastTransport events.Transport `json:"last_transport,omitempty"`

	Status ChatStatus `json:"status" enum:"open,snoozed,closed"`
	// SnoozedUntil is when it is open again by itself.
	SnoozedUntil *time.Time `json:"snoozed_until,omitempty"`
	// Assignee and Team are whose it is; nil when nobody's.
	Assignee *Named  `json:"assignee,omitempty"`
	Team     *Named  `json:"team,omitempty"`
	Labels   []Label `json:"labels" nullable:"false"`
	// Routes are the ways this client can be answered.
	Routes []Route `json:"routes,omitempty"`
}

// Named is somebody or something by id and name.
type Named struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
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
