package inbox

import (
	"time"

	"parley/events"
)

// Draft is what a user has begun to write in a chat.
type Draft struct {
	ChatID int64  `json:"chat_id"`
	Text   string `json:"text"`
	// Channel and ReplyTo are what they chose so far.
	Channel   events.ChannelID `json:"channel,omitempty"`
	ReplyTo   int64            `json:"reply_to,omitempty"`
	UpdatedAt time.Time        `json:"updated_at"`
}
