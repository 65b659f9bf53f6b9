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
}

// Part is what fits one provider request.
type Part struct {
	// Text is the text, or the caption when Attachment is set.
	Text       string
	Attachment *File
}

// File is an attachment to send.
type File struct {
	Kind events.ContentType
	Name string
	MIME string
	Size int64
	// Open yields the bytes; it may be called more than once.
	Open func(ctx context.Context) (io.ReadCloser, error)
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
}

// MediaOpener is a transport whose files are fetched after the message.
type MediaOpener interface {
	// OpenMedia opens an events.Attachment by its Ref. It is called by a worker,
	// never inside a webhook. A file that will never come yields
	// ErrMediaTooLarge or ErrMediaGone; other errors are worth another try.
	OpenMedia(ctx context.Context, ref string) (Media, error)
}

// Media is an open file of a provider.
type Media struct {
	io.ReadCloser
	Name string
	MIME string
	// Size is in bytes, -1 when unknown.
	Size int64
}
