package inbox

import (
	"time"

	"parley/events"
)

// ScheduleState is what became of a scheduled reply.
type ScheduleState string

// The states. Only a waiting one can be changed.
const (
	ScheduleWaiting   ScheduleState = "waiting"
	ScheduleSent      ScheduleState = "sent" // it is a message now, and its delivery says the rest
	ScheduleCancelled ScheduleState = "cancelled"
	ScheduleRefused   ScheduleState = "refused" // it could not be sent when it was due
)

// Scheduled is a reply that is to be written later.
type Scheduled struct {
	ID     int64 `json:"id"`
	ChatID int64 `json:"chat_id"`
	// Text is what it says.
	Text string `json:"text"`
	// Channel it was scheduled for, empty for the one the client wrote on last.
	Channel events.ChannelID `json:"channel,omitempty"`
	// Files counts its attachments.
	Files int `json:"files,omitempty"`
	// User scheduled it; 0 once they are gone.
	User  int64     `json:"user_id,omitempty"`
	DueAt time.Time `json:"due_at"`
	// UnlessAnswered says that it is not sent when the client writes before.
	UnlessAnswered bool          `json:"unless_answered,omitempty"`
	State          ScheduleState `json:"state" enum:"waiting,sent,cancelled,refused"`
	// Words say why it was not sent, or why it still waits.
	Words string `json:"words,omitempty"`
	// MessageID is what it became, 0 before.
	MessageID int64     `json:"message_id,omitempty"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
}
