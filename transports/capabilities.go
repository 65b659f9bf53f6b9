package transports

import (
	"time"

	"parley/events"
)

// Capabilities is what an account can do. The zero value of each field means
// that it cannot. Splitter, dispatcher and composer read it.
type Capabilities struct {
	// MaxText and MaxCaption limit one part, counted in TextUnit.
	MaxText    int
	MaxCaption int
	TextUnit   TextUnit
	// Segments says that texts travel, and cost, in segments of SMS; see
	// CountSegments.
	Segments bool
	// Attachments is the largest size in bytes per kind that can be sent.
	Attachments map[events.ContentType]int64
	// Captionless are those of Attachments that carry no caption, although
	// MaxCaption is set.
	Captionless []events.ContentType
	// MaxFetch is the largest file in bytes that OpenMedia can fetch.
	MaxFetch int64
	// ReplyWindow is how long after a person's last message free text may be
	// sent; NoReplyWindow when for ever.
	ReplyWindow time.Duration
	Replies     bool
	Edits       bool
	Reactions   bool
	Templates   bool
	Typing      bool
	// Mail says that messages have a subject and recipients.
	Mail bool
	// Album is the most attachments one part can carry, where more than one.
	Album int
	// AlbumBytes is the most bytes that they may have together; zero when there
	// is no limit but each one's own.
	AlbumBytes int64
	// AlbumKinds are the kinds of attachments that one part can carry together;
	// kinds of different lists, or of none, go apart. Nil is any with any.
	AlbumKinds [][]events.ContentType
	// FetchesMedia says that the provider fetches files from File.URL.
	FetchesMedia bool
	// OptOut says that people can opt out by a keyword, which the provider
	// enforces.
	OptOut bool
	// DeliveryReceipts and ReadReceipts say what statuses will follow.
	DeliveryReceipts bool
	ReadReceipts     bool
	// Reconcile is how often what the provider has is compared with what came;
	// zero when it cannot be listed.
	Reconcile time.Duration
	// HarmlessResend declares that sending the same part twice shows once.
	HarmlessResend bool
	// Rate limits the account, PersonRate one person; zero is no limit.
	Rate       Rate
	PersonRate Rate
}

// NoReplyWindow is the ReplyWindow of a transport without one.
const NoReplyWindow time.Duration = 1<<63 - 1

// TextUnit is what a provider counts.
type TextUnit int

// The units.
const (
	Runes TextUnit = iota
	UTF16Units
	Bytes
)

// String is the unit in the plural.
func (u TextUnit) String() string {
	switch u {
	case UTF16Units:
		return "UTF-16 units"
	case Bytes:
		return "bytes"
	case Runes:
	}
	return "characters"
}

// Rate is a number of messages per time, with a burst on top of an idle start.
type Rate struct {
	Messages int
	Per      time.Duration
	Burst    int
}
