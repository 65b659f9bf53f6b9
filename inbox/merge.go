package inbox

import "time"

// Merge is one client becoming part of another.
type Merge struct {
	ID int64 `json:"id"`
	// Into is the client that is left; From forwards to it.
	Into int64 `json:"into"`
	From int64 `json:"from"`
	// Chat is the chat that everything is in now, FromChat the one that is empty.
	Chat     int64      `json:"chat"`
	FromChat int64      `json:"from_chat"`
	At       time.Time  `json:"at"`
	UndoneAt *time.Time `json:"undone_at,omitempty"`
	// Messages, Identities and Contacts count what was moved, or moved back.
	Messages   int64 `json:"messages"`
	Identities int   `json:"identities"`
	Contacts   int   `json:"contacts"`
}
