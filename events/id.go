package events

// Opaque identifiers. Each is its own type, so that a channel is never passed
// where a tenant is meant.
type (
	// TenantID is a UUID in lower-case text form: one business.
	TenantID string
	// ChannelID is a UUID in lower-case text form: one connected account, that
	// is one bot, one number or one mailbox.
	ChannelID string
	// EventID is a UUID version 7 in lower-case text form, made when the gateway
	// accepted the event; it names the event in logs, rows and traces.
	EventID string
	// Transport is the kind of network a channel speaks: the value of
	// crm_chat_members.transport.
	Transport string
)

// The transports of the data model.
const (
	Telegram Transport = "telegram"
	WhatsApp Transport = "whatsapp"
	SMS      Transport = "sms"
	Email    Transport = "email"
)

// MessageKey names one message at its provider: with the channel it is the
// dedupe key. An empty Chat or Message is never a key.
type MessageKey struct {
	// Chat is the provider's conversation, for Telegram the chat id in decimal.
	Chat string `json:"chat"`
	// Message is the provider's message id within Chat.
	Message string `json:"message"`
	// Part counts from 0 where one provider message is stored as several.
	Part int `json:"part,omitempty"`
}

// Valid reports whether the key names a message.
func (k MessageKey) Valid() bool { return k.Chat != "" && k.Message != "" }
