package inbox

import (
	"time"

	"github.com/google/uuid"

	"parley/events"
)

// Direction of a message as the business sees it.
type Direction string

// The directions.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Message is one message of a chat.
type Message struct {
	ID     int64 `json:"id"`
	ChatID int64 `json:"chat_id"`
	// Seq orders a chat's messages; it rises by one with each.
	Seq       int64            `json:"seq"`
	Direction Direction        `json:"direction"`
	Kind      string           `json:"kind"`
	Text      string           `json:"text"`
	Content   *events.Content  `json:"content,omitempty"`
	Transport events.Transport `json:"transport"`
	Channel   events.ChannelID `json:"channel,omitempty"`
	// Sender is the member's name for people: the client, or the agent; "former
	// agent" once the user is gone.
	Sender   string    `json:"sender"`
	SenderID uuid.UUID `json:"sender_id"`
	// CreatedAt is when the gateway accepted it or the agent wrote it.
	CreatedAt time.Time `json:"created_at"`
	// SentAt is the provider's acceptance of the last part; nil while unsent.
	SentAt   *time.Time `json:"sent_at,omitempty"`
	ReadAt   *time.Time `json:"read_at,omitempty"`
	EditedAt *time.Time `json:"edited_at,omitempty"`
	// RoutedBy says why an inbound message went to this chat.
	RoutedBy string `json:"routed_by,omitempty"`
	Late     bool   `json:"late,omitempty"`
	// Attachments are its files.
	Attachments []File `json:"attachments,omitempty"`
	// Reactions are what is on it now, Edits what it said before, the oldest first.
	Reactions []Reaction `json:"reactions,omitempty"`
	Edits     []Edit     `json:"edits,omitempty"`
	// ReceivedVia are further ways it came by, Links other chats it has to do with.
	ReceivedVia []Received `json:"received_via,omitempty"`
	Links       []ChatLink `json:"links,omitempty"`
	// Answers is the message that this one answers in particular, nil for none that
	// is in this chat. Mails have none: each answers the one before.
	Answers *Answered `json:"answers,omitempty"`
	// Delivery is nil for what Parley did not send.
	Delivery *Delivery `json:"delivery,omitempty"`
}
