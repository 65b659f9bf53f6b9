package desk

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// ErrCredentials says that the provider refused the credentials.
var ErrCredentials = errors.New("the provider refused the credentials")

// checkTimeout bounds asking a provider who we are while a person waits.
const checkTimeout = 20 * time.Second

// NewChannel is an account to connect.
type NewChannel struct {
	Tenant    events.TenantID
	Transport events.Transport
	// Name is for people, and unique within the tenant.
	Name string
	// Mode is the adapter's usual one when empty.
	Mode events.ChannelMode
	// Country is the ISO 3166 region of phone numbers without prefix, optional.
	Country  string
	Settings map[string]string
	// Secrets by name; the adapter says which it needs.
	Secrets map[string]string
	// Unchecked skips asking the provider whether the secrets are right.
	Unchecked bool
	// Key makes a repeated request add one channel; empty for none.
	Key string
	// Guarded lets the channel connect to public addresses only: for who adds it
	// over the network, and may not reach what the server can.
	Guarded bool
}

// ChannelAdd connects an account: it checks the secrets with the provider,
// seals and stores them, and tells the gateways. It fails with Invalid when
// something is missing or the provider refuses the secrets, with Conflict when
// name or account are there already, and with Unavailable when the provider
// cannot be asked.
func (d *Desk) ChannelAdd(ctx context.Context, n NewChannel) (store.Channel, error) {
	adapter, err := d.adapter(n.Transport)
	if err != nil {
		return store.Channel{}, err
	}
	if n.Key != "" {
		// Before asking the provider, which need not be up for what is done.
		if there, found, err := d.Store.ChannelOfKey(ctx, n.Tenant, n.Key); err != nil || found {
			if err == nil {
				err = d.sameChannel(there, n)
			}
			return there, err
		}
	}
	ch, secrets := n.channel(adapter)
	if err := d.checkNew(ch, adapter, secrets); err != nil {
		return store.Channel{}, err
	}
	var account string
	if !n.Unchecked {
		report, err := d.ask(ctx, ch, adapter, secrets)
		if err != nil {
			return store.Channel{}, err
		}
		account = report.Account
	}
	if ch.Sealed, err = d.Keyring.Seal(string(ch.ID), secrets); err != nil {
		return store.Channel{}, err
	}
	stored, err := d.Store.CreateChannel(ctx, ch, account, n.Key)
	if err != nil {
		return store.Channel{}, err
	}
	if stored.ID != ch.ID {
		return stored, d.sameChannel(stored, n)
	}
	d.project(ctx, stored)
	return stored, nil
}

// channel is what n would be, with the secrets that Parley makes up.
func (n NewChannel) channel(adapter Adapter) (events.Channel, map[string]string) {
	ch := events.Channel{
		ID: events.ChannelID(uuid.NewString()), Tenant: n.Tenant, Transport: n.Transport, Name: strings.TrimSpace(n.Name),
		Mode: n.Mode, WebhookPath: newSecret(), Country: strings.ToUpper(n.Country), Settings: maps.Clone(n.Settings),
	}
	if n.Guarded {
		ch.Guard()
	}
	if ch.Mode == "" {
		ch.Mode = adapter.Mode
	}
	secrets := maps.Clone(n.Secrets)
	if secrets == nil {
		secrets = map[string]string{}
	}
	if name := adapter.WebhookSecret; name != "" && secrets[name] == "" {
		secrets[name] = newSecret()
	}
	return ch, secrets
}

// ChannelTry asks the provider about an account that is not connected yet, and
// stores nothing. It fails as [Desk.ChannelAdd] does.
func (d *Desk) ChannelTry(ctx context.Context, n NewChannel) (Report, error) {
	adapter, err := d.adapter(n.Transport)
	if err != nil {
		return Report{}, err
	}
	ch, secrets := n.channel(adapter)
	if err := d.checkNew(ch, adapter, secrets); err != nil {
		return Report{}, err
	}
	return d.ask(ctx, ch, adapter, secrets)
}

// sameChannel refuses a key that made another channel than the one asked for now.
// What was changed of the channel since does not count against it.
func (d *Desk) sameChannel(there store.Channel, n NewChannel) error {
	secrets, err := d.Keyring.OpenChannel(there.Channel)
	if err != nil {
		return err
	}
	same := there.Transport == n.Transport && (there.Version > 1 || there.Name == strings.TrimSpace(n.Name) && maps.Equal(there.Unguarded().Settings, events.Channel{Settings: n.Settings}.Unguarded().Settings))
	for name, secret := range n.Secrets {
		same = same && (there.Version > 1 || secrets[name] == secret)
	}
	if same {
		return nil
	}
	return &inbox.Error{
		Code: inbox.Conflict, Message: "This Idempotency-Key was used for another request.",
		Hint: "Use a new key for a new request.",
	}
}

func (d *Desk) adapter(t events.Transport) (Adapter, error) {
	adapter, ok := d.Adapters[t]
	if !ok {
		var known []string
		for t := range d.Adapters {
			known = append(known, string(t))
		}
		slices.Sort(known)
		return Adapter{}, &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("There is no transport %q.", t),
			Hint: "Use one of: " + strings.Join(known, ", ") + ".",
		}
	}
	return adapter, nil
}

// checkNew finds what is wrong without asking anybody.
func (d *Desk) checkNew(ch events.Channel, adapter Adapter, secrets map[string]string) error {
	if ch.Name == "" {
		return &inbox.Error{Code: inbox.Invalid, Message: "The channel has no name.", Hint: "Give it one that people recognise."}
	}
	for _, name := range adapter.Secrets {
		if secrets[name] == "" {
			return &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("A %s channel needs a %s.", ch.Transport, name),
				Hint: fmt.Sprintf("Supply the %s that the provider gave you.", name),
			}
		}
	}
	if ch.Mode == events.Webhook && d.PublicURL == "" {
		return &inbox.Error{
			Code: inbox.Invalid, Message: "Webhooks need a public URL, and this installation has none.",
			Hint: "Start the server with --public-url https://…, or use the mode polling.",
		}
	}
	if ch.Country != "" && len(ch.Country) != 2 {
		return &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("%q is no country.", ch.Country), Hint: "Use two letters, such as DE."}
	}
	if limit, limited := ch.Settings[store.SettingNewClients]; limited {
		if _, err := strconv.ParseUint(limit, 10, 31); err != nil {
			return &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("The channel cannot let in %q new clients an hour.", limit),
				Hint: "Give " + store.SettingNewClients + " a whole number from 0 on, or remove it to let in all.", Err: err,
			}
		}
	}
	if err := adapter.Validate(ch, secrets); err != nil {
		return &inbox.Error{Code: inbox.Invalid, Message: "The channel cannot work like this: " + sentence(err.Error()), Err: err}
	}
	return nil
}

// ask checks with the provider who we are.
func (d *Desk) ask(ctx context.Context, ch events.Channel, adapter Adapter, secrets map[string]string) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	report, err := adapter.Check(ctx, ch, secrets)
	switch {
	case err == nil:
		return report, nil
	case errors.Is(err, ErrCredentials):
		return report, &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("The provider of this %s account refused its credentials.", ch.Transport),
			Hint: "Check that they are complete and still valid.", Err: err,
		}
	default:
		return report, &inbox.Error{
			Code: inbox.Unavailable, Message: fmt.Sprintf("The provider of this %s account could not be asked about it: %s", ch.Transport, sentence(err.Error())),
			Hint: "Try again, or add the channel without checking.", Err: err,
		}
	}
}

// newSecret is 32 random bytes in the URL-safe alphabet, which webhook paths
// and Telegram's secret_token both take.
func newSecret() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: https://pkg.go.dev/crypto/rand#Read
	return base64.RawURLEncoding.EncodeToString(raw)
}

// sentence ends text with a full stop.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsAny(text[len(text)-1:], ".!?") {
		return text
	}
	return text + "."
}

// Channels lists the tenant's channels by name.
func (d *Desk) Channels(ctx context.Context, tenant events.TenantID) ([]store.Channel, error) {
	return d.Store.Channels(ctx, tenant)
}

// Channel finds a channel by its id, the start of its id, its name, or its
// transport, whichever names exactly one.
func (d *Desk) Channel(ctx context.Context, tenant events.TenantID, ref string) (store.Channel, error) {
	all, err := d.Store.Channels(ctx, tenant)
	if err != nil {
		return store.Channel{}, err
	}
	// The surest way of naming comes first.
	ways := []func(store.Channel) bool{
		func(c store.Channel) bool { return strings.EqualFold(string(c.ID), ref) },
		func(c store.Channel) bool { return strings.EqualFold(c.Name, ref) },
		func(c store.Channel) bool { return strings.EqualFold(string(c.Transport), ref) },
		func(c store.Channel) bool {
			return len(ref) >= 4 && strings.HasPrefix(string(c.ID), strings.ToLower(ref))
		},
	}
	for _, is := range ways {
		var found []store.Channel
		for _, c := range all {
			if is(c) {
				found = append(found, c)
			}
		}
		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return store.Channel{}, &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("%q could be any of %d channels.", ref, len(found)),
				Hint: "Name one by its id: " + channelNames(found) + ".",
			}
		}
	}
	hint := "No channel is connected yet; add one first."
	if len(all) > 0 {
		hint = "There are: " + channelNames(all) + "."
	}
	return store.Channel{}, &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no channel %q.", ref), Hint: hint}
}

func channelNames(cs []store.Channel) string {
	names := make([]string, 0, mostNames)
	for i, c := range cs {
		if i == mostNames {
			names = append(names, fmt.Sprintf("and %d more", len(cs)-i))
			break
		}
		names = append(names, fmt.Sprintf("%s (%s)", c.Name, c.ID))
	}
	return strings.Join(names, ", ")
}

// ChannelPause stops a channel from accepting and sending, or lets it go on. A
// provider keeps what a paused channel does not accept, for as long as it does.
func (d *Desk) ChannelPause(ctx context.Context, tenant events.TenantID, ref string, paused bool) (store.Channel, error) {
	ch, err := d.Channel(ctx, tenant, ref)
	if err != nil {
		return store.Channel{}, err
	}
	ch, err = d.Store.PauseChannel(ctx, tenant, ch.ID, paused)
	if err != nil {
		return store.Channel{}, err
	}
	d.project(ctx, ch)
	return ch, nil
}

// ChannelCheck is how a channel fares.
type ChannelCheck struct {
	Channel store.Channel
	// ChannelHealth is what the gateway last said, its State empty when it has
	// said nothing yet.
	events.ChannelHealth
	// Report is the provider's own answer just now, nil when it gave none; then
	// Refusal says why in plain words.
	Report  *Report
	Refusal string
	// Words sum it up, one sentence each.
	Words []string
}

// Health is how each channel of any tenant fares, as far as a gateway or a
// dispatcher has looked at it: the worse of what the two last said. With an error
// it holds what could be read.
func (d *Desk) Health(ctx context.Context) (map[events.ChannelID]events.ChannelHealth, error) {
	all, busErr := d.Bus.Health(ctx)
	byID := make(map[events.ChannelID]events.ChannelHealth, len(all))
	for _, h := range all {
		byID[h.Channel] = h
	}
	senders, dbErr := d.Store.SenderHealth(ctx)
	for _, s := range senders {
		h, ok := byID[s.Channel]
		if !ok {
			h = events.ChannelHealth{Channel: s.Channel, Pending: -1}
		}
		if badness(s.State) > badness(h.State) {
			h.State, h.Since, h.Error = s.State, s.Since, ""
			if s.Words != "" {
				h.Error = "sending: " + s.Words
			}
			byID[s.Channel] = h
		}
	}
	return byID, errors.Join(busErr, dbErr)
}

// badness orders the states of a channel.
func badness(s events.HealthState) int {
	switch s {
	case events.Connected:
		return 1
	case events.Degraded:
		return 2
	case events.NeedsAttention:
		return 3
	}
	return 0
}

// ChannelCheck asks the gateway and the provider how a channel fares. That the
// provider does not answer, or refuses us, is an answer and no error.
func (d *Desk) ChannelCheck(ctx context.Context, tenant events.TenantID, ref string) (ChannelCheck, error) {
	ch, err := d.Channel(ctx, tenant, ref)
	if err != nil {
		return ChannelCheck{}, err
	}
	h := ChannelCheck{Channel: ch}
	known, err := d.Health(ctx)
	if err != nil {
		h.Words = append(h.Words, "What the gateway knows could not be read: "+sentence(err.Error()))
	}
	h.ChannelHealth = known[ch.ID]
	adapter, err := d.adapter(ch.Transport)
	if err != nil {
		return ChannelCheck{}, err
	}
	secrets, err := d.Keyring.OpenChannel(ch.Channel)
	if err == nil {
		var report Report
		report, err = d.ask(ctx, ch.Channel, adapter, secrets)
		if err == nil {
			h.Report = &report
			d.learnAccount(ctx, &h.Channel, report.Account)
		}
	}
	if err != nil {
		h.Refusal = err.Error()
		if e := (*inbox.Error)(nil); errors.As(err, &e) {
			h.Refusal = e.Message // the hint is for adding one
		}
	}
	h.Words = append(h.Words, h.describe()...)
	return h, nil
}

// learnAccount keeps the account's name of a channel that was added unchecked.
func (d *Desk) learnAccount(ctx context.Context, ch *store.Channel, account string) {
	if account == "" || account == ch.Account {
		return
	}
	changed, err := d.Store.UpdateChannel(ctx, ch.Tenant, ch.ID, store.ChannelChange{Account: &account})
	if err != nil {
		d.log().WarnContext(ctx, "account name not stored", "channel", ch.ID, "error", err)
		return
	}
	*ch = changed
	d.project(ctx, changed)
}

func (h *ChannelCheck) describe() (words []string) {
	if h.Channel.Paused {
		words = append(words, "The channel is paused: it neither accepts nor sends.")
	}
	switch h.State {
	case events.Connected:
		words = append(words, "The gateway is connected.")
	case events.Degraded:
		words = append(words, "The gateway has trouble and keeps trying: "+sentence(h.Error))
	case events.NeedsAttention:
		words = append(words, "The gateway stopped and needs you: "+sentence(h.Error))
	default:
		if !h.Channel.Paused {
			words = append(words, "The gateway has not reported on this channel yet.")
		}
	}
	if h.Report == nil {
		return append(words, sentence(h.Refusal))
	}
	account := h.Report.Account
	if account == "" {
		account = "the account"
	}
	words = append(words, fmt.Sprintf("The provider knows us as %s.", account))
	if h.Report.Pending > 0 {
		words = append(words, fmt.Sprintf("It holds %d updates for us.", h.Report.Pending))
	}
	if h.Report.LastError != "" {
		words = append(words, "Its last delivery error was: "+sentence(h.Report.LastError))
	}
	if !h.Channel.Paused && h.Report.Webhook != (h.Channel.Mode == events.Webhook) {
		words = append(words, fmt.Sprintf("The channel's mode is %s, but the provider is set up for the other one.", h.Channel.Mode))
	}
	return words
}
