package inbox

// Team is a group of users that chats can be assigned to.
type Team struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	// Members are its users, by name.
	Members []Named `json:"members" nullable:"false"`
	Version int64   `json:"version"`
}
