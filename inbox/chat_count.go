package inbox

// ChatCount is how many chats there are, and how many of them with unread
// messages. Counting stops at 100, which means that many or more.
type ChatCount struct {
	Chats  int64 `json:"chats"`
	Unread int64 `json:"unread"`
}

// ChatCounts are the counts of the inbox's lists. All but Snoozed and Closed are
// of open chats.
type ChatCounts struct {
	Open       ChatCount `json:"open"`
	Mine       ChatCount `json:"mine"`
	Unassigned ChatCount `json:"unassigned"`
	Snoozed    ChatCount `json:"snoozed"`
	Closed     ChatCount `json:"closed"`
	// Teams are those of the user who asks.
	Teams []TeamCount `json:"teams" nullable:"false"`
}

// TeamCount is how many open chats a team has.
type TeamCount struct {
	Team Named `json:"team"`
	ChatCount
}
