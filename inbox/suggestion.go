package inbox

// Suggestion is a client who may be the same person as another.
type Suggestion struct {
	Client Client `json:"client"`
	// Reasons say why, the strongest first. Nothing merges by itself.
	Reasons []Reason `json:"reasons"`
}

// Reason is why two clients may be one person.
type Reason struct {
	// Kind is phone, email, pin or name for what both have; token, thread, address
	// or claimed_phone for what a message hints at.
	Kind string `json:"kind"`
	// Words say it in a sentence.
	Words string `json:"words"`
	// Value is what both have, empty for hints.
	Value string `json:"value,omitempty"`
}
