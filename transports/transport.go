package transports

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"parley/events"
)

// Transport is one connected account. Its methods may be called from several
// goroutines at once.
type Transport interface {
	// Capabilities never changes during the account's life and does no I/O.
	Capabilities() Capabilities
}

// Account is what an adapter is built from.
type Account struct {
	Channel events.Channel
	// Secrets are the opened secrets by name, such as "token".
	Secrets map[string]string
	// HTTPClient carries the time limits; adapters pass each call's context.
	HTTPClient *http.Client
	// PublicURL is where the provider reaches this installation, without a
	// trailing slash; empty when it cannot.
	PublicURL string
}

// WebhookPrefix precedes a channel's opaque path.
const WebhookPrefix = "/webhook/"

// WebhookURL is where the provider delivers to this account, exactly as it was
// told: what a provider signs. Empty when it cannot reach us.
func (a Account) WebhookURL() string {
	if a.PublicURL == "" || a.Channel.WebhookPath == "" {
		return ""
	}
	return a.PublicURL + WebhookPrefix + a.Channel.WebhookPath
}

// Factory builds an adapter. It checks settings and secrets and does no I/O;
// its errors say what to set.
type Factory func(Account) (Transport, error)

// Webhook is a transport that is called by its provider.
type Webhook interface {
	// ParseWebhook authenticates the request (in constant time) and decodes its
	// body, which was already read in full. It does no I/O. A request that does
	// not prove its origin yields ErrForged; a body that proves its origin but
	// cannot be understood yields an event of content type Unsupported, never
	// an error.
	ParseWebhook(r *http.Request, body []byte) (Callback, error)
}

// Reparser is a transport that can read its own stored payloads again, once it
// has learned what it did not understand at first.
type Reparser interface {
	// Reparse decodes an Inbound.Raw as ParseWebhook or Poll would have, without
	// authentication: it was accepted before. A payload that still cannot be
	// understood yields an event of content type Unsupported; an error says that
	// raw is no stored payload at all.
	Reparse(raw json.RawMessage) ([]events.Inbound, error)
}

// Callback is a decoded provider request.
type Callback struct {
	// Events are in the provider's order. The gateway answers 2xx once all are
	// durable.
	Events []events.Inbound
	// ContentType and Body answer the provider; empty means 200 without body.
	ContentType string
	Body        []byte
}

// Emit makes events and the cursor behind them durable, in this order, and
// returns nil only then. After an error the poller stops without moving on.
type Emit func(ctx context.Context, evs []events.Inbound, cursor string) error

// Poller is a transport that Parley asks for news.
type Poller interface {
	// Poll fetches from cursor (empty at first) and emits until ctx ends or the
	// connection fails. The gateway calls it again, after a back-off, from the
	// last durable cursor. It confirms to the provider only what emit took.
	Poll(ctx context.Context, cursor string, emit Emit) error
}

// Connector is a transport that can be told where to deliver.
type Connector interface {
	// Connect makes the provider deliver to webhookURL, or stop pushing so that
	// polling works when it is empty. It loses no pending updates and may be
	// repeated.
	Connect(ctx context.Context, webhookURL string) error
	// Check asks the provider who we are and how deliveries fare.
	Check(ctx context.Context) (Report, error)
}

// Report is what a provider says about an account.
type Report struct {
	// Account is the account's name at the provider, such as "@my_bot".
	Account string
	// WebhookURL is where the provider delivers, empty when polled. It contains
	// the opaque path: show it redacted.
	WebhookURL string
	// Pending counts updates the provider holds for us.
	Pending int
	// LastError is the provider's last delivery error in its own words, and
	// LastErrorAt when; empty when there is none.
	LastError   string
	LastErrorAt time.Time
}

// Sender is a transport that can send.
type Sender interface {
	// Send makes one provider request for one part that already fits. The
	// caller committed the claim before, and gives ctx a deadline. An error is
	// always a *SendError; a nil error means the provider accepted.
	Send(ctx context.Context, part Outbound) (Receipt, error)
}

// Outbound is one part of a message to send.
type Outbound struct {
	// To is the person's address: events.Person.Address.
	To string
	Part
	// ReplyTo is the provider's id of the message answered, or empty.
	ReplyTo string
	// Ref is our own reference of this attempt, echoed by providers that can.
	Ref string
	// Mail is the head of an email, for transports with Capabilities.Mail.
	Mail *MailHead
	// Template is an approved template to send instead of Part's text, for
	// transports with Capabilities.Templates.
	Template *Template
	// Topic is the events.Content.Topic to write into, empty when none.
	Topic string
}

// MailHead is what an outgoing email needs beside its text.
type MailHead struct {
	Subject string
	To, Cc  []events.MailAddress
	// MessageID is ours and stored before the attempt, without angle brackets:
	// the same for each attempt of a part.
	MessageID  string
	InReplyTo  string
	References []string
	// ReplyToken becomes part of the Reply-To address and ties answers to the
	// chat; empty when the mailbox takes no plus-addresses.
	ReplyToken string
	// Automatic is what Auto-Submitted says (RFC 3834, section 5), such as
	// "auto-replied"; empty when a person wrote the mail.
	Automatic string
}

// Template is an approved template of the provider.
type Template struct {
	// ID is the provider's (Twilio's ContentSid).
	ID        string
	Variables map[string]string
}

// Part is what fits one provider request.
type Part struct {
	// Text is the text, or the caption when Attachment is set.
	Text string
	// Entities mark up Text, in UTF-16 units.
	Entities   []events.Entity
	Attachment *File
	// Album are further attachments of the same part, at most
	// Capabilities.Album - 1.
	Album []File
}

// File is an attachment to send.
type File struct {
	Kind events.ContentType
	Name string
	MIME string
	Size int64
	// Open yields the bytes; it may be called more than once.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// URL is where the provider may fetch the bytes for a while, unguessable; set
	// for transports with Capabilities.FetchesMedia.
	URL string
}

// Receipt is a provider's acceptance.
type Receipt struct {
	// ProviderID names the message at the provider.
	ProviderID string
	// Chat is the provider's conversation the message landed in, part of the
	// key that later edits, replies, reactions and receipts use.
	Chat string
	// AcceptedAt is the provider's clock, zero when it gives none.
	AcceptedAt time.Time
	// Album are the provider's ids of the part's further attachments, where each
	// is a message of its own.
	Album []string
}

// Editor is a transport that can change what it sent. Errors are as [Sender]'s.
type Editor interface {
	Edit(ctx context.Context, change Change) error
}

// Reactor is a transport that can react to a message. Errors are as [Sender]'s.
type Reactor interface {
	// React sets our reactions to emoji; none takes them back.
	React(ctx context.Context, to, providerID string, emoji []string) error
}

// Typer is a transport that can show that somebody is typing.
type Typer interface {
	Typing(ctx context.Context, to string) error
}

// Change is new text for a part that was sent.
type Change struct {
	To         string
	ProviderID string
	Text       string
	Entities   []events.Entity
	// Caption is true when Text belongs to an attachment.
	Caption bool
}

// Reconciler is a transport whose provider can list what it has.
type Reconciler interface {
	// Reconcile emits what the provider has since that time, as ParseWebhook or
	// Poll would have: whoever stores them tells what is known. Events come
	// oldest first where the provider allows. It ends at the newest, or with the
	// first failure.
	Reconcile(ctx context.Context, since time.Time, emit func(context.Context, []events.Inbound) error) error
}

// Settler is a transport that can find out what became of an unclear send.
type Settler interface {
	// Settle looks for one send that ended Unknown. Found with nil error is proof
	// of acceptance; ErrNotFound proof of the opposite, given only once the
	// provider would surely list it. Any other error proves nothing.
	Settle(ctx context.Context, sent Outbound, at time.Time) (Receipt, error)
}

// MediaOpener is a transport whose files are fetched after the message.
type MediaOpener interface {
	// OpenMedia opens an events.Attachment by its Ref. It is called by a worker,
	// never inside a webhook. A file that will never come yields
	// ErrMediaTooLarge or ErrMediaGone; other errors are worth another try.
	OpenMedia(ctx context.Context, ref string) (Media, error)
}

// RawMediaOpener is a transport whose files came within the payload itself.
type RawMediaOpener interface {
	// OpenRawMedia opens an events.Attachment with InRaw by its Ref, from the
	// payload of its event. It does no I/O but on raw.
	OpenRawMedia(raw json.RawMessage, ref string) (Media, error)
}

// Media is an open file of a provider.
type Media struct {
	io.ReadCloser
	Name string
	MIME string
	// Size is in bytes, -1 when unknown.
	Size int64
}
