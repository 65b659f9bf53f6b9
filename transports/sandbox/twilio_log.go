package sandbox

import (
	"context"
	"time"
)

// What a log entry of [Twilio] records, besides LogSent, LogRefused, LogWrote,
// LogDelivered, and LogCalled when a sender was told where to deliver.
const (
	// LogStatus: a message of the account moved on, and was called back about.
	LogStatus = "status"
	// LogFetched: a file that is sent was fetched, or could not be.
	LogFetched = "fetched"
)

// TwilioEntry is one line of the stand-in's log. Entries are never changed.
type TwilioEntry struct {
	// Seq counts from 1 without gaps, for each run anew.
	Seq  int64     `json:"seq"`
	Time time.Time `json:"time"`
	// What is one of the Log constants.
	What string `json:"what"`
	// Sender and Person are addresses as the API writes them.
	Sender string `json:"sender,omitempty"`
	Person string `json:"person,omitempty"`
	SID    string `json:"sid,omitempty"`
	Text   string `json:"text,omitempty"`
	// Files is how many the message has.
	Files    int    `json:"files,omitempty"`
	Template string `json:"template,omitempty"`
	// Status is the message's, of LogStatus; what became of a file, of LogFetched.
	Status string `json:"status,omitempty"`
	// Fault is the fault that was injected, by its name in [TwilioFaults].
	Fault string `json:"fault,omitempty"`
	// Code is the error code answered, or the HTTP status of a webhook's answer, 0
	// when there was none.
	Code int `json:"code,omitempty"`
}

func (e TwilioEntry) numbered(seq int64, at time.Time) TwilioEntry {
	e.Seq, e.Time = seq, at
	return e
}

// Log yields the entries after the one numbered seq.
func (t *Twilio) Log(seq int64) []TwilioEntry { return t.log.since(seq) }

// Await yields the first log entry that matches, waiting for it until ctx ends.
// Tests wait on it instead of on time.
func (t *Twilio) Await(ctx context.Context, match func(TwilioEntry) bool) (TwilioEntry, error) {
	return t.log.await(ctx, match)
}
