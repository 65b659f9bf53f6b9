package inbox

// Label is what chats are sorted by.
type Label struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	// Colour is #rrggbb in small letters.
	Colour string `json:"colour" example:"#cc0000"`
	// Version is 0 where the label is shown with a chat.
	Version int64 `json:"version,omitempty"`
}
