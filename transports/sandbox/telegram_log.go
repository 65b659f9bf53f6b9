package sandbox

import (
	"context"
	"time"
)

// What a log entry records.
const (
	// LogSent: a bot's message was accepted and is on the person's phone.
	LogSent = "sent"
	// LogRefused: a bot's message was not accepted, by rule or by fault.
	LogRefused = "refused"
	// LogWrote: a person did something that made an update.
	LogWrote = "wrote"
	// LogDelivered: an update was handed out; it may be handed out again.
	LogDelivered = "delivered"
	// LogConfirmed: an update was confirmed and forgotten.
	LogConfirmed = "confirmed"
	// LogConflict: somebody polled while somebody else did, who was told 409.
	LogConflict = "conflict"
	// LogCalled: a bot edited, deleted, reacted to or answered something.
	LogCalled = "called"
)

// TelegramEntry is one line of the stand-in's log. Entries are never changed.
type TelegramEntry struct {
	// Seq counts from 1 without gaps.
	Seq  int64     `json:"seq"`
	Time time.Time `json:"time"`
	// What is one of the Log constants.
	What string `json:"what"`
	// Bot and Chat are ids; a private chat's is the person's.
	Bot       int64 `json:"bot"`
	Chat      int64 `json:"chat,omitempty"`
	MessageID int64 `json:"message_id,omitempty"`
	UpdateID  int64 `json:"update_id,omitempty"`
	// Kind is the content's ("text", "photo", …), or the method or update field
	// where there is none.
	Kind string `json:"kind,omitempty"`
	Text string `json:"text,omitempty"`
	// Connection is the business connection of the chat, if it is one's.
	Connection string `json:"connection,omitempty"`
	// Topic is the thread within the chat, Group the album.
	Topic int64  `json:"topic,omitempty"`
	Group string `json:"group,omitempty"`
	// ReplyTo is the message answered.
	ReplyTo int64 `json:"reply_to,omitempty"`
	// Fault is the fault that was injected, by its name in [TelegramFaults].
	Fault string `json:"fault,omitempty"`
	// Code is the error code answered, or the HTTP status of a webhook delivery,
	// 0 when there was none.
	Code int `json:"code,omitempty"`
	// Via is "webhook" or "poll" for updates.
	Via string `json:"via,omitempty"`
}

func (e TelegramEntry) numbered(seq int64, at time.Time) TelegramEntry {
	e.Seq, e.Time = seq, at
	return e
}

// openLog opens the log and goes on counting messages and updates where an
// earlier run ended.
func (t *Telegram) openLog() (err error) {
	t.log, err = openJournal(t.opts.LogPath, t.opts.Now, func(e TelegramEntry) int64 {
		t.lastIDs.message = max(t.lastIDs.message, e.MessageID)
		t.lastIDs.update = max(t.lastIDs.update, e.UpdateID)
		return e.Seq
	})
	return err
}

// Log yields the entries after the one numbered seq, of this run.
func (t *Telegram) Log(seq int64) []TelegramEntry { return t.log.since(seq) }

// Await yields the first log entry of this run that matches, waiting for it
// until ctx ends. Tests wait on it instead of on time.
func (t *Telegram) Await(ctx context.Context, match func(TelegramEntry) bool) (TelegramEntry, error) {
	return t.log.await(ctx, match)
}
