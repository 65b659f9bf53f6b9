package inbox

import (
	"time"

	"parley/events"
)

// Reaction is what somebody has on a message now.
type Reaction struct {
	Emoji []string `json:"emoji" nullable:"false"`
	// Ours is the business's; By names who it was: the client or the agent.
	Ours bool      `json:"ours"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
}

// Edit is what a message said before it was changed.
type Edit struct {
	Text string `json:"text"`
	// At is when it was changed from that.
	At time.Time `json:"at"`
}

// Received is another way by which the same message came: the same mail in two
// mailboxes.
type Received struct {
	Channel events.ChannelID `json:"channel"`
	Name    string           `json:"name"`
	At      time.Time        `json:"at"`
}

// Answered is a message that another one answers.
type Answered struct {
	ID        int64     `json:"id"`
	Seq       int64     `json:"seq"`
	Direction Direction `json:"direction"`
	// Text is its first 200 characters.
	Text string `json:"text"`
}

// ChatLink is another chat that a message has to do with, for a person to judge;
// nothing was merged.
type ChatLink struct {
	Chat   int64  `json:"chat"`
	Client string `json:"client"`
	// Why is token (it was written to that chat's reply address), thread (it
	// answers a message there), address (it claims that client's address, and
	// nobody vouches for it) or phone (its sender has proven that client's number).
	Why string `json:"why" enum:"token,thread,address,phone"`
}
