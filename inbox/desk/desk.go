// Package desk is what an agent or operator does: reply, read, connect a
// channel, follow along. Its callers are the JSON API and the pages; each verb
// is one call, checks its arguments, and says in words why it refuses.
//
// PostgreSQL is the truth of everything here. The bus only gets a projection of
// the channels, written after the commit and healed by [Desk.ProjectChannels]
// when a crash came between.
package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/tracing"
	"parley/inbox"
	"parley/inbox/media"
	"parley/store"
)

// Desk carries out the verbs. Its methods may be called from several goroutines.
type Desk struct {
	Store *store.DB
	Bus   *jetstream.Bus
	// Keyring seals the secrets of new channels.
	Keyring *inbox.Keyring
	// Adapters are the transports that this program speaks.
	Adapters map[events.Transport]Adapter
	// PublicURL is where providers reach this installation, without trailing
	// slash; empty when they cannot, and then no channel may use webhooks.
	PublicURL string
	// PrivateWebhooks lets webhooks be called at addresses that are not public, and
	// by plain http.
	PrivateWebhooks bool
	// PagesURL is where people reach the inbox, without trailing slash, for links.
	PagesURL string
	// Mail sends a mail to an agent; nil where no mail server is configured.
	Mail func(ctx context.Context, to, subject, text string) error
	// Files keeps the files of messages; nil where there is no blob store.
	Files  *media.Library
	Logger *slog.Logger
	// Tracer, if any, traces messages that are written here.
	Tracer *tracing.Tracer

	present presence

	mu sync.Mutex
	// typed is when it was last shown that somebody writes in a chat.
	typed map[typedIn]time.Time
	// can is what the channels of each tenant can do.
	can map[events.TenantID]known
}

// Adapter is what the desk needs to know of a transport to connect a channel.
type Adapter struct {
	// Secrets names the secrets that a person supplies, such as "token".
	Secrets []string
	// Optional names further secrets that it can have.
	Optional []string
	// WebhookSecret names the one that Parley makes up, empty when none.
	WebhookSecret string
	// Mode is how messages arrive unless the operator says otherwise.
	Mode events.ChannelMode
	// Validate checks settings and secrets without any I/O; its error says what
	// to set.
	Validate func(ch events.Channel, secrets map[string]string) error
	// Check asks the provider who we are. Its error wraps ErrCredentials when the
	// provider refused them.
	Check func(ctx context.Context, ch events.Channel, secrets map[string]string) (Report, error)
	// Tell sends a text to a person at once, beside the queue: to agents, never to
	// clients. Nil where that cannot be.
	Tell func(ctx context.Context, ch events.Channel, secrets map[string]string, to, text string) error
	// Abilities says what an account can do, without any I/O. Nil limits nothing
	// in advance.
	Abilities func(ch events.Channel, secrets map[string]string) (inbox.Abilities, error)
	// Reach reads an address that a person typed in, without any I/O; nil where
	// nobody can be named. ReachHint says what such an address looks like.
	Reach     func(ch events.Channel, to string) (Reach, error)
	ReachHint string
}

// Report is what a provider says about an account.
type Report struct {
	// Account is the account's name at the provider, such as "@my_bot".
	Account string `json:"account"`
	// Webhook says whether the provider pushes to us; it is false when polled.
	Webhook bool `json:"webhook"`
	// Pending counts updates that the provider holds for us.
	Pending int `json:"pending"`
	// LastError is the provider's last delivery error in its own words.
	LastError   string     `json:"last_error,omitempty"`
	LastErrorAt *time.Time `json:"last_error_at,omitempty"`
}

func (d *Desk) log() *slog.Logger {
	if d.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Logger
}

// Tenant finds a tenant by id or name. An empty name is the only tenant there
// is; with several it is refused, and the error lists them.
func (d *Desk) Tenant(ctx context.Context, name string) (store.Tenant, error) {
	all, err := d.Store.Tenants(ctx)
	if err != nil {
		return store.Tenant{}, err
	}
	if name == "" {
		if len(all) == 1 {
			return all[0], nil
		}
		return store.Tenant{}, &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("There are %d tenants, and the request names none.", len(all)),
			Hint: "Name one of: " + tenantNames(all) + ".",
		}
	}
	var found []store.Tenant
	for _, t := range all {
		if strings.EqualFold(string(t.ID), name) {
			return t, nil
		}
		if strings.EqualFold(t.Name, name) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return store.Tenant{}, &inbox.Error{
			Code: inbox.NotFound, Message: fmt.Sprintf("There is no tenant %q.", name),
			Hint: "There are: " + tenantNames(all) + ".",
		}
	default:
		return store.Tenant{}, &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("%d tenants are named %q.", len(found), name),
			Hint: "Name one by its id: " + tenantNames(found) + ".",
		}
	}
}

// mostNames keeps error texts readable.
const mostNames = 10

func tenantNames(ts []store.Tenant) string {
	names := make([]string, 0, mostNames)
	for i, t := range ts {
		if i == mostNames {
			names = append(names, fmt.Sprintf("and %d more", len(ts)-i))
			break
		}
		names = append(names, fmt.Sprintf("%s (%s)", t.Name, t.ID))
	}
	return strings.Join(names, ", ")
}

// Unreachable names what err says is out of reach just now, "NATS" or "The
// database"; empty when it is something else.
func Unreachable(err error) string {
	switch {
	case errors.Is(err, jetstream.ErrUnavailable):
		return "NATS"
	case store.Unreachable(err):
		return "The database"
	}
	return ""
}
