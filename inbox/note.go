package inbox

import "time"

// Note is what an agent wrote to colleagues beside a chat. Nothing sends it.
type Note struct {
	ID     int64 `json:"id"`
	ChatID int64 `json:"chat_id"`
	// User is who wrote it, nil once they are gone.
	User *Named `json:"user,omitempty"`
	Text string `json:"text"`
	// AfterSeq is the chat's newest message when it was written: where it is shown.
	AfterSeq  int64      `json:"after_seq"`
	CreatedAt time.Time  `json:"created_at"`
	EditedAt  *time.Time `json:"edited_at,omitempty"`
	Version   int64      `json:"version"`
}
