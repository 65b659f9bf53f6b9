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
	Service     ContentType = "service"
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
	// ReplyTo names the message this one answers, in the provider's terms.
	ReplyTo *MessageKey `json:"reply_to,omitempty"`
	// Quote is the part of it that was quoted.
	Quote   string   `json:"quote,omitempty"`
	Forward *Forward `json:"forward,omitempty"`
	// Group joins the parts of one album.
	Group string `json:"group,omitempty"`
	// Unsupported is the provider's name of a kind no adapter understands yet.
	Unsupported string `json:"unsupported,omitempty"`
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
	Name      string `json:"name,omitempty"`
	MIME      string `json:"mime,omitempty"`
	// Size is in bytes, 0 when the provider does not say.
	Size   int64 `json:"size,omitempty"`
	Width  int   `json:"width,omitempty"`
	Height int   `json:"height,omitempty"`
	// Duration is in seconds.
	Duration int `json:"duration,omitempty"`
}

// Location is a point in WGS 84 degrees.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Title     string  `json:"title,omitempty"`
	Address   string  `json:"address,omitempty"`
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
