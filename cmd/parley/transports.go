package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
	"parley/transports"
	"parley/transports/email"
	"parley/transports/telegram"
	"parley/transports/twilio"
)

// adapter is one line of the table of transports.
type adapter struct {
	factory transports.Factory
	// secrets a person supplies, and the one that Parley makes up.
	secrets       []string
	webhookSecret string
	// optional are further secrets that it can have.
	optional []string
	// token is the secret that --token-file holds.
	token string
	mode  events.ChannelMode
	// tells says that it can write to an agent beside the queue.
	tells bool
	// reach reads an address that a person typed in; hint says what one looks like.
	reach func(ch events.Channel, to string) (desk.Reach, error)
	hint  string
}

const (
	phoneHint    = "Write the number with its country, like +49 151 12345678."
	mailHint     = "Write the address like ada@example.com."
	telegramHint = "Telegram lets a bot write only to people who have written to it: give the numeric id of one of them."
)

func reachPhone(ch events.Channel, to string) (desk.Reach, error) {
	id, err := transports.NormalisePhone(to, ch.Country)
	return desk.Reach{Person: events.Person{Identity: id, Address: id.Value}}, err
}

func reachMail(_ events.Channel, to string) (desk.Reach, error) {
	id, err := transports.NormaliseEmail(to)
	return desk.Reach{Person: events.Person{Identity: id, Address: id.Value}}, err
}

// reachTelegram names only who is known: bots cannot begin a conversation
// (https://core.telegram.org/bots#how-are-bots-different-from-users).
func reachTelegram(_ events.Channel, to string) (desk.Reach, error) {
	n, err := strconv.ParseInt(to, 10, 64)
	if err != nil || n <= 0 {
		return desk.Reach{}, fmt.Errorf("%q: %w", to, transports.ErrNoIdentity)
	}
	id := transports.TelegramIdentity(n)
	return desk.Reach{Person: events.Person{Identity: id, Address: id.Value}, KnownOnly: true}, nil
}

// adapters is every network that Parley speaks.
func adapters() map[events.Transport]adapter {
	all := map[events.Transport]adapter{
		events.Email:    {factory: email.New, token: "password", optional: []string{"password", "refresh_token", "client_secret"}, webhookSecret: "reply_key", mode: events.Polling, reach: reachMail, hint: mailHint},
		events.SMS:      {factory: twilio.New, token: "auth_token", secrets: []string{"auth_token"}, optional: []string{"auth_token_next"}, mode: events.Webhook, reach: reachPhone, hint: phoneHint},
		events.WhatsApp: {factory: twilio.New, token: "auth_token", secrets: []string{"auth_token"}, optional: []string{"auth_token_next"}, mode: events.Webhook, reach: reachPhone, hint: phoneHint},
		events.Telegram: {factory: telegram.New, token: "token", secrets: []string{"token"}, webhookSecret: "webhook_secret", mode: events.Polling, reach: reachTelegram, hint: telegramHint, tells: true},
	}
	for t, a := range all {
		a.factory = guarded(t, a.factory)
		all[t] = a
	}
	return all
}

// guarded is an adapter whose guarded channels reach public addresses only. The
// providers' own addresses, which are the defaults, need no guard; a proxy may be
// on the way to them.
func guarded(t events.Transport, build transports.Factory) transports.Factory {
	return func(a transports.Account) (transports.Transport, error) {
		guard := a.Channel.Guarded()
		a.Channel = a.Channel.Unguarded()
		switch {
		case guard && t == events.Email:
			a.HTTPClient = transports.PublicClient(a.HTTPClient)
			return email.NewWithDial(a, transports.PublicDialer().DialContext)
		case guard && a.Channel.Settings["api_url"] != "":
			a.HTTPClient = transports.PublicClient(a.HTTPClient)
		}
		return build(a)
	}
}

func factories() map[events.Transport]transports.Factory {
	all := map[events.Transport]transports.Factory{}
	for t, a := range adapters() {
		all[t] = a.factory
	}
	return all
}

// secretsOpener opens channels' sealed secrets for the adapters.
func secretsOpener(keys *inbox.Keyring) func(events.Channel) (map[string]string, error) {
	return keys.OpenChannel
}

// deskAdapters is what the desk needs of them. client calls the providers while
// a person waits.
func deskAdapters(client *http.Client, publicURL string) map[events.Transport]desk.Adapter {
	all := map[events.Transport]desk.Adapter{}
	for t, a := range adapters() {
		build := func(ch events.Channel, secrets map[string]string) (transports.Transport, error) {
			return a.factory(transports.Account{Channel: ch, Secrets: secrets, HTTPClient: client, PublicURL: publicURL})
		}
		var tell func(context.Context, events.Channel, map[string]string, string, string) error
		if a.tells {
			tell = func(ctx context.Context, ch events.Channel, secrets map[string]string, to, text string) error {
				t, err := build(ch, secrets)
				if err != nil {
					return err
				}
				sender, ok := t.(transports.Sender)
				if !ok {
					return errors.New("this transport sends nothing")
				}
				_, err = sender.Send(ctx, transports.Outbound{To: to, Part: transports.Part{Text: text}})
				return err
			}
		}
		all[t] = desk.Adapter{
			Tell:    tell,
			Secrets: a.secrets, Optional: a.optional, WebhookSecret: a.webhookSecret, Mode: a.mode, Reach: a.reach, ReachHint: a.hint,
			Validate: func(ch events.Channel, secrets map[string]string) error {
				_, err := build(ch, secrets)
				return err
			},
			Check: func(ctx context.Context, ch events.Channel, secrets map[string]string) (desk.Report, error) {
				t, err := build(ch, secrets)
				if err != nil {
					return desk.Report{}, err
				}
				return check(ctx, t)
			},
			Abilities: func(ch events.Channel, secrets map[string]string) (inbox.Abilities, error) {
				t, err := build(ch, secrets)
				if err != nil {
					return inbox.Abilities{}, err
				}
				return abilities(t.Capabilities()), nil
			},
		}
	}
	return all
}

// abilities is what an agent needs to know of an account's capabilities.
func abilities(caps transports.Capabilities) inbox.Abilities {
	can := inbox.Abilities{
		Replies: caps.Replies, Edits: caps.Edits, Reactions: caps.Reactions, Templates: caps.Templates, Mail: caps.Mail,
		MaxText: caps.MaxText, MaxCaption: caps.MaxCaption, Lists: caps.Reconcile > 0, Typing: caps.Typing,
		Fits: func(text string, caption bool) bool {
			if caption {
				caps := caps
				caps.MaxText = caps.MaxCaption
				return len(transports.Split(text, nil, nil, caps)) == 1
			}
			return len(transports.Split(text, nil, nil, caps)) == 1
		},
		Measure: func(text string) inbox.TextSize { return measure(text, caps) },
	}
	if caps.ReplyWindow != transports.NoReplyWindow {
		can.ReplyWindow = max(caps.ReplyWindow, 1) // no window at all is one that is over
	}
	return can
}

// measure is how long a text is for an account: by what it costs, where that is
// segments.
func measure(text string, caps transports.Capabilities) inbox.TextSize {
	if caps.Segments {
		n := transports.CountSegments(text)
		return inbox.TextSize{Units: n.Units, Unit: string(n.Encoding), Messages: n.Count, Left: n.Left}
	}
	count, unit := caps.TextUnit.Count, caps.TextUnit.String()
	size := inbox.TextSize{Units: count(text), Unit: unit}
	parts := transports.Split(text, nil, nil, caps)
	if size.Messages = len(parts); size.Messages > 0 && caps.MaxText > 0 {
		size.Left = max(0, caps.MaxText-count(parts[len(parts)-1].Text))
	}
	return size
}

func check(ctx context.Context, t transports.Transport) (desk.Report, error) {
	c, ok := t.(transports.Connector)
	if !ok {
		return desk.Report{}, errors.New("this transport cannot be checked")
	}
	r, err := c.Check(ctx)
	if errors.Is(err, transports.ErrCredentials) {
		return desk.Report{}, fmt.Errorf("%w: %w", desk.ErrCredentials, err)
	}
	if err != nil {
		return desk.Report{}, err
	}
	out := desk.Report{Account: r.Account, Webhook: r.WebhookURL != "", Pending: r.Pending, LastError: r.LastError}
	if !r.LastErrorAt.IsZero() {
		out.LastErrorAt = &r.LastErrorAt
	}
	return out, nil
}

// reparse reads a stored payload again, for replays.
func reparse(keys *inbox.Keyring, blobs store.Blobs, channel func(context.Context, *events.Inbound) (events.Channel, error)) func(context.Context, *events.Inbound) ([]events.Inbound, error) {
	open := secretsOpener(keys)
	table := adapters()
	return func(ctx context.Context, ev *events.Inbound) ([]events.Inbound, error) {
		a, ok := table[ev.Transport]
		if !ok {
			return nil, fmt.Errorf("this program has no adapter for %q", ev.Transport)
		}
		ch, err := channel(ctx, ev)
		if err != nil {
			return nil, err
		}
		secrets, err := open(ch)
		if err != nil {
			return nil, err
		}
		t, err := a.factory(transports.Account{Channel: ch, Secrets: secrets, HTTPClient: &http.Client{Timeout: 30 * time.Second}})
		if err != nil {
			return nil, err
		}
		r, ok := t.(transports.Reparser)
		if !ok {
			return []events.Inbound{*ev}, nil // what it was accepted as
		}
		raw, err := payload(ctx, blobs, ev)
		if err != nil {
			return nil, err
		}
		return r.Reparse(raw)
	}
}

// payload is what the provider sent, from the event or from its blob.
func payload(ctx context.Context, blobs store.Blobs, ev *events.Inbound) (json.RawMessage, error) {
	if ev.RawRef == "" {
		return ev.Raw, nil
	}
	if blobs == nil {
		return nil, fmt.Errorf("the payload is in the blob %s: start with the --blob-url that holds it", ev.RawRef)
	}
	r, err := blobs.Open(ctx, ev.RawRef)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(r)
	return raw, errors.Join(err, r.Close())
}
