package events

import (
	"encoding/json"
	"time"
)

// Kind says what an inbound event is about.
type Kind string

// The kinds of inbound events.
const (
	// Message is a new message; Inbound.Key is its own key.
	Message Kind = "message"
	// Edit replaces the content of the message named by Inbound.Key.
	Edit Kind = "edit"
	// Reacted sets the sender's reactions on the message named by Inbound.Key.
	Reacted Kind = "reaction"
	// StatusChanged reports the fate of a message we sent, named by Inbound.Key
	// or by Status.Ref.
	StatusChanged Kind = "status"
	// Reachability says that a person blocked or unblocked the channel, or opted
	// out or in again; Inbound.Reason says which.
	Reachability Kind = "reachability"
	// Ignored is accounted for and nothing else; Inbound.Reason says why.
	Ignored Kind = "ignored"
)

// Inbound is one accepted event. The adapter fills what the provider told it;
// the gateway stamps ID, Tenant, Channel, Transport and AcceptedAt before
// publishing; nobody changes it afterwards.
type Inbound struct {
	ID         EventID   `json:"id"`
	Tenant     TenantID  `json:"tenant"`
	Channel    ChannelID `json:"channel"`
	Transport  Transport `json:"transport"`
	AcceptedAt time.Time `json:"accepted_at"`

	Kind   Kind   `json:"kind"`
	Person Person `json:"person"`
	// Ours is true for a message that the business wrote in another program (a
	// mailbox's Sent folder, the phone of a Telegram business account): it is
	// stored as outbound and sends nothing. Person is whom it was written to.
	Ours bool `json:"ours,omitempty"`
	// Key names the message this is about; see the kinds.
	Key MessageKey `json:"key"`
	// ProviderEvent is the provider's id of the delivery itself (Telegram's
	// update_id, Twilio's EventSid), the dedupe key of everything but messages.
	ProviderEvent string `json:"provider_event,omitempty"`
	// ProviderTime is the provider's clock; zero when it gives none.
	ProviderTime time.Time `json:"provider_time,omitzero"`

	Content  *Content  `json:"content,omitempty"`
	Status   *Status   `json:"status,omitempty"`
	Reaction *Reaction `json:"reaction,omitempty"`
	Blocked  bool      `json:"blocked,omitempty"`
	Reason   string    `json:"reason,omitempty"`

	// Raw is the provider's payload as it came: JSON verbatim, a form as a JSON
	// string, and a mail as a JSON object with what IMAP says of it and its bytes,
	// none lost (transports/email). It is what a replay parses again.
	Raw json.RawMessage `json:"raw,omitempty"`
	// RawRef names the blob that holds the payload when it is too large for the
	// bus; Raw is empty then.
	RawRef string `json:"raw_ref,omitempty"`
	// Notes are plain words about what was repaired on the way in.
	Notes []string `json:"notes,omitempty"`

	// Trace is the W3C trace context of whoever accepted it, where that is traced.
	// It travels in the frame's header.
	Trace string `json:"-"`
}

// Delivery states that a provider can report, weakest first.
const (
	Sent      StatusName = "sent"
	Delivered StatusName = "delivered"
	Read      StatusName = "read"
	Failed    StatusName = "failed"
	// Delayed changes nothing but the words: the provider still tries.
	Delayed StatusName = "delayed"
)

// StatusName is one reported state of a message we sent.
type StatusName string

// Status is what a provider says became of a message we sent.
type Status struct {
	Name StatusName `json:"name"`
	// Ref is our own reference when the provider echoes it, for callbacks that
	// arrive before the send's answer.
	Ref string `json:"ref,omitempty"`
	// Code is the provider's error code, Words what it means.
	Code  string `json:"code,omitempty"`
	Words string `json:"words,omitempty"`
}

// Reaction is the whole set of reactions a person has on a message now; empty
// when they took them back.
type Reaction struct {
	Emoji []string `json:"emoji"`
}
