package inbox

import (
	"time"

	"parley/events"
)

// DeliveryState is how far a message to a client has come.
type DeliveryState string

// The states. Uncertain is the honest one: the provider may have accepted the
// message, and nobody knows yet.
const (
	Queued    DeliveryState = "queued"
	Sending   DeliveryState = "sending"
	Uncertain DeliveryState = "uncertain"
	Sent      DeliveryState = "sent"
	Delivered DeliveryState = "delivered"
	Read      DeliveryState = "read"
	Failed    DeliveryState = "failed"
	Cancelled DeliveryState = "cancelled"
)

// rank orders the states that a provider's report may move through.
var rank = map[DeliveryState]int{
	Queued: 0, Sending: 1, Uncertain: 2, Sent: 3, Delivered: 4, Read: 5, Failed: 6, Cancelled: 6,
}

// Advances reports whether proof of to may replace from. States only move
// forward; failed may follow sent (a bounce) but not delivered or read, and
// nothing follows failed but later proof that the person has it. Only what is
// still queued can be cancelled.
func Advances(from, to DeliveryState) bool {
	switch to {
	case Failed:
		return from != Delivered && from != Read && from != Failed && from != Cancelled
	case Delivered, Read:
		return from == Failed || rank[to] > rank[from] && from != Cancelled
	case Cancelled:
		return from == Queued
	case Queued, Sending, Uncertain, Sent:
	}
	return from != Failed && from != Cancelled && rank[to] > rank[from]
}

// Delivery is the sending of one message.
type Delivery struct {
	ID    int64         `json:"id"`
	State DeliveryState `json:"state"`
	// Attempts counts tries of the current part.
	Attempts int `json:"attempts"`
	// PartsSent of Parts were accepted by the provider.
	PartsSent int       `json:"parts_sent"`
	Parts     int       `json:"parts"`
	DueAt     time.Time `json:"due_at"`
	// Code and Words tell the last failure and what to do about it.
	Code  string `json:"code,omitempty"`
	Words string `json:"words,omitempty"`
}

// DeliveryItem is a delivery in a list of its own, with what it delivers.
type DeliveryItem struct {
	Delivery
	MessageID int64 `json:"message_id"`
	ChatID    int64 `json:"chat_id"`
	Seq       int64 `json:"seq"`
	// Text is the message in short.
	Text        string           `json:"text"`
	Channel     events.ChannelID `json:"channel"`
	ChannelName string           `json:"channel_name"`
	// Address is where it goes, in the provider's terms.
	Address   string    `json:"address"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}
