package inbox

// Action changes a message that was sent, or reacts to a message. It waits its
// turn behind what was queued to the same person before.
type Action struct {
	// Text is what an edited message says from now on, nil for a reaction.
	Text *string `json:"text,omitempty"`
	// Emoji are all our reactions; none takes them back.
	Emoji []string `json:"emoji,omitempty"`
	// User is the agent's id.
	User int64 `json:"user,omitempty"`
}
