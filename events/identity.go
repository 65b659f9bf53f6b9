package events

// IdentityKind says what namespace an identity's value lives in. Phone calls,
// SMS and WhatsApp share one: the number is the person.
type IdentityKind string

// The identity kinds.
const (
	Phone        IdentityKind = "phone"    // E.164 with leading +
	EmailAddress IdentityKind = "email"    // domain lower-cased
	TelegramUser IdentityKind = "telegram" // numeric user id in decimal
	// SenderName is what a text message came from that has no number: an
	// alphanumeric sender or a short code, as "<network>:<name>".
	// Anybody can send under a name; it joins nobody.
	SenderName IdentityKind = "sender"
)

// Identity is who somebody is, normalised by the adapter: equal identities are
// the same person within a tenant.
type Identity struct {
	Kind  IdentityKind `json:"kind"`
	Value string       `json:"value"`
}

// Valid reports whether both halves are there.
func (i Identity) Valid() bool { return i.Kind != "" && i.Value != "" }

// Person is the sender of an inbound event as the provider describes them.
type Person struct {
	// Identity decides the partition, and with the tenant the client.
	Identity Identity `json:"identity"`
	// Address is where a reply goes: a Telegram chat id, an E.164 number, a mail
	// address.
	Address string `json:"address"`
	// Proven are further identities the provider vouches for, such as the
	// sender's own shared phone contact.
	Proven    []Identity `json:"proven,omitempty"`
	FirstName string     `json:"first_name,omitempty"`
	LastName  string     `json:"last_name,omitempty"`
	// Username is a handle for people to read. It is never an identity:
	// usernames are recycled.
	Username string `json:"username,omitempty"`
	// Language is an IETF tag as the provider gives it.
	Language string `json:"language,omitempty"`
}
