package email

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"parley/events"
	"parley/transports"
)

// The roles a mailbox plays.
var (
	_ transports.Factory        = New
	_ transports.Transport      = (*Mailbox)(nil)
	_ transports.Reparser       = (*Mailbox)(nil)
	_ transports.Poller         = (*Mailbox)(nil)
	_ transports.Connector      = (*Mailbox)(nil)
	_ transports.Sender         = (*Mailbox)(nil)
	_ transports.RawMediaOpener = (*Mailbox)(nil)
	_ transports.Reconciler     = (*Mailbox)(nil)
)

// Chat is the chat of every key: mail knows messages, not conversations.
const Chat = "mail"

// Limits of what goes out. Servers announce their own (SIZE, RFC 1870), which
// hold besides.
const (
	// maxText is ours, in runes: far beyond what people write, and a mail that
	// still opens everywhere.
	maxText = 100_000
	// maxFiles is the most one mail carries in attachments, in bytes: base64 makes
	// 25 MB of it, which is the most that Gmail takes
	// (https://support.google.com/mail/answer/6584).
	maxFiles = 18 << 20
	// maxAlbum is how many attachments one mail carries.
	maxAlbum = 20
)

// Dial opens a connection, as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Mailbox is one mailbox. It holds its configuration, an access token while one
// is good, and when it last logged in.
type Mailbox struct {
	settings
	dial    Dial
	client  *http.Client
	tokens  *tokens
	answers replyTokens
	caps    transports.Capabilities
	redact  transports.Redactor
	// loggedIn is when both servers last took the credentials, in Unix
	// nanoseconds; see Check.
	loggedIn atomic.Int64
}

// New builds a mailbox from an account.
//
// Secrets: "password"; or for XOAUTH2 "refresh_token", and "client_secret" where
// the provider gave one. "reply_key", made up, ties answers to chats by a
// plus-address; without it no such address is offered.
//
// Settings:
//
//   - "address", required: the mailbox's own address. "name" is shown beside it,
//     "username" is for logging in (default: the address).
//   - "imap" and "smtp", required: host or host:port. "imap_security" and
//     "smtp_security": tls (default; ports 993 and 465), starttls (143 and 587),
//     or none, which only a loopback address may have. "ca": the PEM
//     certificates to trust instead of the system's.
//   - "since": the first import's date as 2006-01-02; without it only new mail
//     is imported.
//   - "folders": further folders to read, separated by commas, such as Junk.
//     "sent": the Sent folder to import, by name; auto (default) finds it by its
//     special use (RFC 6154), off leaves it alone.
//   - "save_sent": on puts a copy of what is sent into the Sent folder, off
//     (default) where the server does so itself, as Gmail's does.
//   - "poll": seconds between two looks at all folders (default 300, at most
//     1680), besides IDLE.
//   - "authserv_id": the name by which the mailbox's own server signs its
//     Authentication-Results (RFC 8601), several separated by commas; without it
//     nothing is believed.
//   - "plus_address": off where the server takes no plus-addresses (default on).
//   - "token_url", "client_id" and "scope": where and as whom access tokens are
//     asked for, by the secret "refresh_token".
func New(account transports.Account) (transports.Transport, error) {
	return NewWithDial(account, new(net.Dialer).DialContext)
}

// NewWithDial is [New] with another way to the servers.
func NewWithDial(account transports.Account, dial Dial) (*Mailbox, error) {
	if account.HTTPClient == nil {
		return nil, errors.New("email: the account has no HTTP client")
	}
	s, err := readSettings(account)
	if err != nil {
		return nil, err
	}
	m := &Mailbox{settings: s, dial: dial, client: account.HTTPClient, caps: capabilities()}
	m.redact = transports.NewRedactor("email ", secretsOf(account)...)
	if m.oauth != nil {
		m.tokens = newTokens(*m.oauth, account.HTTPClient)
	}
	if m.plus {
		m.answers = newReplyTokens(account.Secrets["reply_key"], m.address)
	}
	return m, nil
}

func secretsOf(account transports.Account) []string {
	var all []string
	for _, s := range account.Secrets {
		all = append(all, strings.TrimSpace(s))
	}
	return all
}

// Capabilities implements [transports.Transport].
func (m *Mailbox) Capabilities() transports.Capabilities {
	caps := m.caps
	caps.Attachments = maps.Clone(caps.Attachments)
	return caps
}

func capabilities() transports.Capabilities {
	return transports.Capabilities{
		MaxText:    maxText,
		MaxCaption: maxText,
		TextUnit:   transports.Runes,
		Attachments: map[events.ContentType]int64{
			events.Photo:    maxFiles,
			events.Video:    maxFiles,
			events.Audio:    maxFiles,
			events.Voice:    maxFiles,
			events.Document: maxFiles,
		},
		Album:          maxAlbum,
		ReplyWindow:    transports.NoReplyWindow,
		Replies:        true,
		Mail:           true,
		Reconcile:      24 * time.Hour,
		HarmlessResend: true,
	}
}
