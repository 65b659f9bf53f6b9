package main

import (
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
)

// chat show prints what there is to a message, each on a line of its own.
func TestMessagesAreShownWithWhatThereIsToThem(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)
	at := func(minute int) time.Time { return time.Date(2026, 11, 22, 11, minute, 0, 0, time.Local) }
	edited := at(30)
	got := messageLine(inbox.Message{
		Seq: 7, Direction: inbox.In, Sender: "Ada", Text: "Two loaves,\nplease", CreatedAt: at(5), EditedAt: &edited,
		Content:     &events.Content{Type: events.Letter, Mail: &events.Mail{Subject: "Bread\x1b[2J"}},
		Edits:       []inbox.Edit{{Text: "Two loafs", At: edited}},
		Reactions:   []inbox.Reaction{{Emoji: []string{"👍"}, By: "Ann", Ours: true, At: edited}},
		ReceivedVia: []inbox.Received{{Name: "sales@example.org"}},
		Links:       []inbox.ChatLink{{Chat: 3, Client: "Bob", Why: "thread"}},
	}, now)
	const want = `    7  11:05  ← Ada: Subject: Bread�[2J
                     Two loaves,
                     please  [edited]
                     until 11:30: Two loafs
                     👍 by Ann
                     received on sales@example.org as well
                     it answers a message of chat 3, with Bob
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
