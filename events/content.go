package events

import (
	"fmt"
	"strings"
)

// ContentType says what a message mainly is. Unknown values are shown as
// unsupported.
type ContentType string

// The content types. Attachment kinds share the names.
const (
	Text        ContentType = "text"
	Photo       ContentType = "photo"
	Video       ContentType = "video"
	Animation   ContentType = "animation"
	Audio       ContentType = "audio"
	Voice       ContentType = "voice"
	VideoNote   ContentType = "video_note"
	Document    ContentType = "document"
	Sticker     ContentType = "sticker"
	Place       ContentType = "location"
	ContactCard ContentType = "contact"
	// Poll is a question with options, Dice a thrown die or slot machine, Story a
	// story somebody shared.
	Poll  ContentType = "poll"
	Dice  ContentType = "dice"
	Story ContentType = "story"
	// Button is a button or list entry that a person pressed.
	Button ContentType = "button"
	// Letter is an email; Content.Mail holds its head.
	Letter  ContentType = "email"
	Service ContentType = "service"
	// Unsupported is stored raw, shown, and can be replayed once an adapter
	// understands it; Content.Unsupported says what it was.
	Unsupported ContentType = "unsupported"
)

// Content is a message's structured content: the column
// crm_chat_messages.content. The plain text of it is [Content.Plain].
type Content struct {
	Type ContentType `json:"type"`
	// Text is the text or caption, UTF-8 without NUL bytes.
	Text        string       `json:"text,omitempty"`
	Entities    []Entity     `json:"entities,omitempty"`
	Attachments []Attachment `json:"attachments,omitempty"`
	Location    *Location    `json:"location,omitempty"`
	Contact     *Contact     `json:"contact,omitempty"`
	Poll        *PollCard    `json:"poll,omitempty"`
	Pressed     *Pressed     `json:"pressed,omitempty"`
	Mail        *Mail        `json:"mail,omitempty"`
	Referral    *Referral    `json:"referral,omitempty"`
	// Topic is the provider's id of the thread within the chat, empty outside of
	// one.
	Topic string `json:"topic,omitempty"`
	// ReplyTo names the message this one answers, in the provider's terms.
	ReplyTo *MessageKey `json:"reply_to,omitempty"`
	// Quote is the part of it that was quoted.
	Quote   string   `json:"quote,omitempty"`
	Forward *Forward `json:"forward,omitempty"`
	// Group joins the parts of one album.
	Group string `json:"group,omitempty"`
	// Unsupported is the provider's name of a kind no adapter understands yet.
	Unsupported string `json:"unsupported,omitempty"`
	// Automatic is set when no person wrote it: an answer outside the opening hours.
	Automatic bool `json:"automatic,omitempty"`
}

// Entity marks up a range of Content.Text. Offset and Length count UTF-16 code
// units, as Telegram does (https://core.telegram.org/bots/api#messageentity).
type Entity struct {
	Type   string `json:"type"`
	Offset int    `json:"offset"`
	Length int    `json:"length"`
	URL    string `json:"url,omitempty"`
}

// Attachment is a file that belongs to a message; its bytes are fetched later.
type Attachment struct {
	Kind ContentType `json:"kind"`
	// Ref is what the adapter needs to fetch the bytes (Telegram's file_id).
	Ref string `json:"ref,omitempty"`
	// UniqueRef is the same for the same bytes where the provider says so.
	UniqueRef string `json:"unique_ref,omitempty"`
	// Preview is the Ref of a small picture of it, where the provider makes one.
	Preview string `json:"preview,omitempty"`
	Name    string `json:"name,omitempty"`
	MIME    string `json:"mime,omitempty"`
	// Size is in bytes, 0 when the provider does not say.
	Size   int64 `json:"size,omitempty"`
	Width  int   `json:"width,omitempty"`
	Height int   `json:"height,omitempty"`
	// Duration is in seconds.
	Duration int `json:"duration,omitempty"`
	// Role is empty for a file that the sender attached.
	Role AttachmentRole `json:"role,omitempty"`
	// ContentID names an inline part that the HTML body shows (RFC 2392),
	// without angle brackets.
	ContentID string `json:"content_id,omitempty"`
	// InRaw says that the bytes are within the event's own payload: Ref is for
	// transports.RawMediaOpener.
	InRaw bool `json:"in_raw,omitempty"`
}

// AttachmentRole says what an attachment is to its message.
type AttachmentRole string

// The roles of attachments that nobody attached as files.
const (
	// InlineImage is shown within the HTML body.
	InlineImage AttachmentRole = "inline"
	// HTMLBody is the mail as HTML, unsanitised.
	HTMLBody AttachmentRole = "html"
	// RawMail is the mail as it came (RFC 5322).
	RawMail AttachmentRole = "raw"
)

// Location is a point in WGS 84 degrees.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Title     string  `json:"title,omitempty"`
	Address   string  `json:"address,omitempty"`
	// Live is true while the point follows the person.
	Live bool `json:"live,omitempty"`
}

// PollCard is a poll as it stood when it was sent.
type PollCard struct {
	Question string   `json:"question"`
	Options  []string `json:"options"`
}

// Pressed is what a pressed button says.
type Pressed struct {
	// Label is what the person saw, empty when the provider does not say.
	Label string `json:"label,omitempty"`
	// Payload is what the button was made with.
	Payload string `json:"payload,omitempty"`
}

// Referral is the advertisement or page that a conversation came from.
type Referral struct {
	Source   string `json:"source,omitempty"`
	ID       string `json:"id,omitempty"`
	URL      string `json:"url,omitempty"`
	Headline string `json:"headline,omitempty"`
	Body     string `json:"body,omitempty"`
}

// Mail is the head of an email (RFC 5322), decoded. Message ids are without
// angle brackets.
type Mail struct {
	Subject string        `json:"subject,omitempty"`
	From    MailAddress   `json:"from"`
	ReplyTo []MailAddress `json:"reply_to,omitempty"`
	To      []MailAddress `json:"to,omitempty"`
	Cc      []MailAddress `json:"cc,omitempty"`

	MessageID  string   `json:"message_id"`
	InReplyTo  []string `json:"in_reply_to,omitempty"`
	References []string `json:"references,omitempty"`

	// Quoted is the byte offset in Content.Text at which only quoted text
	// follows; 0 when there is none, or nothing else.
	Quoted int `json:"quoted,omitempty"`
	// Automatic is why no program may answer it (RFC 3834): "auto-replied",
	// "auto-generated", "list" or "bulk"; empty when a person wrote it.
	Automatic string `json:"automatic,omitempty"`
	// DMARC is what the mailbox's own server found: "pass", "fail" or "none";
	// empty when it does not say.
	DMARC     string `json:"dmarc,omitempty"`
	Signed    bool   `json:"signed,omitempty"`
	Encrypted bool   `json:"encrypted,omitempty"`
	// ChatToken is the token of the plus-address that was written to, verified:
	// the chat that this mail answers in.
	ChatToken string `json:"chat_token,omitempty"`
	// BodyHash is the hex SHA-256 of the content: the same MessageID with another
	// hash is another message, with the same hash in two mailboxes one.
	BodyHash string `json:"body_hash,omitempty"`
	// Unreadable says why the mail could not be read; its raw form is attached.
	Unreadable string `json:"unreadable,omitempty"`
}

// MailAddress is one mailbox.
type MailAddress struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
}

// Contact is a contact card that somebody shared.
type Contact struct {
	Phone     string `json:"phone,omitempty"`
	FirstName string `json:"first_name,omitempty"`
	LastName  string `json:"last_name,omitempty"`
	// Own is true when the provider vouches that the card is the sender's own.
	Own bool `json:"own,omitempty"`
}

// Forward says where a forwarded message came from, in words.
type Forward struct {
	From string `json:"from,omitempty"`
}

// Plain is the content in plain words: the column crm_chat_messages.message,
// and what a terminal or a search shows. It is never empty.
func (c Content) Plain() string {
	if c.Text != "" {
		return c.Text
	}
	switch c.Type {
	case Place:
		if c.Location == nil {
			break
		}
		if c.Location.Title != "" {
			return fmt.Sprintf("[location %s, %s]", c.Location.Title, c.Location.Address)
		}
		return fmt.Sprintf("[location %.5f, %.5f]", c.Location.Latitude, c.Location.Longitude)
	case ContactCard:
		if c.Contact == nil {
			break
		}
		return strings.TrimSpace(fmt.Sprintf("[contact %s %s", strings.TrimSpace(c.Contact.FirstName+" "+c.Contact.LastName), c.Contact.Phone)) + "]"
	case Poll:
		if c.Poll != nil {
			return "[poll " + c.Poll.Question + "]"
		}
	case Button:
		if c.Pressed != nil && c.Pressed.Label != "" {
			return "[button " + c.Pressed.Label + "]"
		}
	case Letter:
		if c.Mail != nil && c.Mail.Subject != "" {
			return "[email " + c.Mail.Subject + "]"
		}
	case Unsupported:
		if c.Unsupported != "" {
			return "[unsupported: " + c.Unsupported + "]"
		}
	default: // the rest is named by its file or its type
	}
	if len(c.Attachments) > 0 && c.Attachments[0].Name != "" {
		return fmt.Sprintf("[%s %s]", c.Attachments[0].Kind, c.Attachments[0].Name)
	}
	if c.Type == "" || c.Type == Text {
		return "[empty message]"
	}
	return "[" + strings.ReplaceAll(string(c.Type), "_", " ") + "]"
}
