package inbox

import "time"

// Client is a person who writes to the business.
type Client struct {
	ID        int64      `json:"id"`
	FirstName string     `json:"first_name"`
	LastName  string     `json:"last_name,omitempty"`
	Phone     string     `json:"phone,omitempty"`
	Email     string     `json:"email,omitempty"`
	BlockedAt *time.Time `json:"blocked_at,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	// Chat is their chat, 0 while there is none and where it is not told.
	Chat int64 `json:"chat,omitempty"`
}

// ClientCard is all that is known of a client.
type ClientCard struct {
	Client
	MiddleName  string    `json:"middle_name,omitempty"`
	Address     string    `json:"address,omitempty"`
	DateOfBirth string    `json:"date_of_birth,omitempty" doc:"YYYY-MM-DD."`
	Gender      string    `json:"gender,omitempty"`
	PIN         string    `json:"pin,omitempty" doc:"Tax identification number."`
	Comments    string    `json:"comments,omitempty"`
	UpdatedAt   time.Time `json:"updated_at"`
	// Contacts are the ways to reach them that somebody noted or that they used.
	Contacts []ClientContact `json:"contacts" nullable:"false"`
	// Version changes with every change: what an edit says it has seen.
	Version int64 `json:"-"`
}

// ContactType says what a contact's value is.
type ContactType string

// The types of the data model.
const (
	ContactEmail    ContactType = "email"
	ContactPhone    ContactType = "phone"
	ContactTelegram ContactType = "telegram"
	ContactWhatsApp ContactType = "whatsapp"
	ContactOther    ContactType = "other"
)

// ClientContact is one way to reach a client.
type ClientContact struct {
	ID   int64       `json:"id"`
	Type ContactType `json:"type" enum:"email,phone,telegram,whatsapp,other"`
	// Value is normalised: E.164, an address with its domain in small letters, a
	// Telegram user id or @name.
	Value     string    `json:"value"`
	CreatedAt time.Time `json:"created_at"`
}
