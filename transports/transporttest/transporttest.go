// Package transporttest is the conformance suite that every adapter passes: what
// the seam promises, tried on the roles that an adapter plays and within the
// capabilities that it declares.
//
//	func TestConformance(t *testing.T) {
//		transporttest.Run(t, transporttest.Harness{
//			Transport: events.Telegram,
//			New:       …, Secrets: …, Provider: …, To: …,
//			Webhook:   …, Forgeries: …, Message: …,
//			Recorded:  transporttest.RecordedFiles(t, transporttest.JSON, "testdata/updates/*.json"),
//			Persons:   …, Polled: …, StandIn: …,
//		})
//	}
//
// What is tried:
//
//   - capabilities: what the provider documents and the adapter declares as zero
//     fails, and so does what is made up (documented.go); each capability has its
//     role.
//   - identity and redelivery: one person is one identity however they are
//     written, a message delivered again has its key again.
//   - forged, huge and garbage input; mutants of recorded payloads, each of which
//     is stored, refused in words or shown as unsupported: see [Mutate]. A field
//     that nobody knows yet changes nothing.
//   - order, and what a poller owes its cursor.
//   - splitting within the account's own limits.
//   - one request per send; certainty of what was not sent, uncertainty after a
//     timeout or a lost connection; whatever waits ends within a second of being
//     told to.
//   - no secret in an error, a log line or an event, however each role fails.
//   - the stand-in refuses what the provider refuses: each field of each request
//     the adapter makes is spoiled, and its answer compared: see [StandIn].
//
// What an adapter's roles call for and a harness does not offer fails, unless
// Harness.Lacks says why it cannot: nothing is left out in silence.
//
// The suite stands between the adapter and its network as an
// [http.RoundTripper], so that requests can fail at a chosen point, on a clock of
// its own: no test waits for real time. An adapter that does not speak HTTP gives
// Harness.On instead of New and Provider, and builds its accounts on networks
// that behave as [Network] says; its waits are real, and short.
//
// PARLEY_MUTANTS=100000 tries that many mutants on each way in instead of a few
// hundred. A mutant that fails is named by a number that makes it again.
package transporttest

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"parley/events"
	"parley/transports"
)

// Harness is what the suite has to know about an adapter.
type Harness struct {
	// Transport is the network, whose documented capabilities the suite knows.
	Transport events.Transport
	// Documented are the facts about a network that the suite does not know.
	Documented []Fact

	// New builds an account whose requests go through client.
	New func(t *testing.T, client *http.Client) transports.Transport
	// Secrets are what no error may hold.
	Secrets []string
	// Provider takes whatever is sent to it, and answers as the provider does on
	// success.
	Provider http.Handler
	// On builds an account of an adapter that does not speak HTTP, on a network
	// that behaves as told; taken is how many sends its provider took in full. Nil
	// when there are New and Provider.
	On func(t *testing.T, network Network) (account transports.Transport, taken func() int)
	// To is an address that can be written to.
	To string
	// Mail is the head of what is sent, for transports with Capabilities.Mail.
	Mail *transports.MailHead

	// Webhook is a request with that body that proves its origin.
	Webhook func(body []byte) *http.Request
	// Forgeries spoil such a request, by the name of what is wrong with it.
	Forgeries map[string]func(*http.Request)
	// Message is a genuine body: one person's nth message, n counted from 1.
	Message func(n int, text string) []byte
	// Polled builds an account whose provider has these payloads waiting, in this
	// order, and none besides. For pollers; where the provider hands out pages, let
	// them be small.
	Polled func(t *testing.T, bodies [][]byte) transports.Transport

	// Recorded are payloads of every shape that the provider sends.
	Recorded []Payload
	// Kept is how the adapter keeps a payload in Inbound.Raw. Nil for what the seam
	// says: JSON verbatim, anything else as a JSON string.
	Kept func(body []byte) json.RawMessage
	// Persons are payloads by whom they are from: those of one person with every
	// spelling that the provider uses (another format of the number, a new
	// username), those of others as similar as the provider allows.
	Persons map[string][][]byte

	// StandIn is the provider's stand-in, for senders.
	StandIn *StandIn

	// Lacks says why something cannot be offered, by the field's name.
	Lacks map[string]string
}

// Run tries everything that the adapter's roles allow.
func Run(t *testing.T, h Harness) {
	t.Helper()
	watchLogs(t, h.Secrets)
	account, _ := h.account(t, Offline)
	hook, hooked := account.(transports.Webhook)
	_, polls := account.(transports.Poller)
	_, sends := account.(transports.Sender)
	t.Run("harness", func(t *testing.T) {
		h.offers(t, hooked, polls, sends)
	})
	t.Run("capabilities", func(t *testing.T) { h.capabilities(t) })
	if hooked {
		t.Run("webhook", func(t *testing.T) { h.webhook(t, hook) })
	}
	if len(h.Persons) > 0 {
		t.Run("persons", func(t *testing.T) { h.persons(t) })
	}
	if len(h.Recorded) > 0 {
		t.Run("recorded", func(t *testing.T) { h.recorded(t) })
		t.Run("mutants", func(t *testing.T) { h.mutants(t) })
	}
	if sends {
		t.Run("send", func(t *testing.T) { h.send(t) })
		t.Run("split", func(t *testing.T) { h.split(t) })
	}
	if sends && h.StandIn != nil {
		t.Run("stand-in", func(t *testing.T) { h.standIn(t) })
	}
	if polls {
		t.Run("poll", func(t *testing.T) { h.poll(t) })
	}
	t.Run("cancel", func(t *testing.T) { h.cancel(t) })
	t.Run("secrets", func(t *testing.T) { h.secrets(t) })
}

// offers wants all that the adapter's roles call for, or a reason why not.
func (h Harness) offers(t *testing.T, hooked, polls, sends bool) {
	http := h.On == nil
	for _, offer := range []struct {
		name       string
		there, due bool
	}{
		{"Transport", h.Transport != "", true},
		{"New", h.New != nil, http},
		{"Provider", h.Provider != nil, http && sends},
		{"Secrets", len(h.Secrets) > 0, true},
		{"To", h.To != "", sends},
		{"Webhook", h.Webhook != nil, hooked},
		{"Forgeries", len(h.Forgeries) > 0, hooked},
		{"Message", h.Message != nil, hooked || polls},
		{"Polled", h.Polled != nil, polls},
		{"Recorded", len(h.Recorded) > 0, hooked || polls},
		{"Persons", len(h.Persons) > 1, hooked || polls},
		{"StandIn", h.StandIn != nil, sends},
	} {
		reason, lacks := h.Lacks[offer.name]
		switch {
		case offer.due && !offer.there && !lacks:
			t.Errorf("the harness offers no %s, and does not say why in Lacks", offer.name)
		case lacks && (reason == "" || offer.there):
			t.Errorf("Lacks[%q] is %q, and it is offered: %t", offer.name, reason, offer.there)
		case lacks:
			t.Logf("not tried for lack of %s: %s", offer.name, reason)
		}
	}
}

func (h Harness) capabilities(t *testing.T) {
	account, _ := h.account(t, Offline)
	caps := account.Capabilities()
	for kind := range caps.Attachments {
		caps.Attachments[kind] = -1
	}
	caps = account.Capabilities()
	for kind, limit := range caps.Attachments {
		if limit <= 0 {
			t.Errorf("the limit of a %s is %d bytes, or the caller can change it", kind, limit)
		}
	}
	if caps.MaxCaption > 0 && len(caps.Attachments) == 0 {
		t.Error("captions of what cannot be attached")
	}
	if caps.Album == 1 || caps.Album < 0 {
		t.Errorf("an album of %d", caps.Album)
	}
	for _, kind := range caps.Captionless {
		if caps.Attachments[kind] == 0 {
			t.Errorf("a %s cannot have a caption, nor be sent", kind)
		}
	}
	for _, rate := range []transports.Rate{caps.Rate, caps.PersonRate} {
		if (rate.Messages > 0) != (rate.Per > 0) || rate.Messages < 0 || rate.Burst < 0 {
			t.Errorf("rate %+v is neither a limit nor none", rate)
		}
	}
	for _, problem := range roles(account, caps) {
		t.Error(problem)
	}
	facts, known := documented()[h.Transport]
	switch {
	case known && len(h.Documented) > 0:
		t.Errorf("the suite knows what %s documents; correct it there", h.Transport)
	case !known:
		facts = h.Documented
	}
	if len(facts) == 0 {
		t.Errorf("nobody says what %q documents: set Harness.Documented", h.Transport)
	}
	for _, problem := range compare(caps, facts) {
		t.Error(problem)
	}
}

// roles says which capabilities have no role to use them.
func roles(account transports.Transport, caps transports.Capabilities) (problems []string) {
	_, sender := account.(transports.Sender)
	_, editor := account.(transports.Editor)
	_, reactor := account.(transports.Reactor)
	_, typer := account.(transports.Typer)
	_, reconciler := account.(transports.Reconciler)
	_, opener := account.(transports.MediaOpener)
	for _, role := range []struct {
		capability, role string
		declared, played bool
	}{
		{"MaxText", "Sender", caps.MaxText > 0, sender},
		{"Attachments", "Sender", len(caps.Attachments) > 0, sender},
		{"Templates", "Sender", caps.Templates, sender},
		{"Edits", "Editor", caps.Edits, editor},
		{"Reactions", "Reactor", caps.Reactions, reactor},
		{"Typing", "Typer", caps.Typing, typer},
		{"Reconcile", "Reconciler", caps.Reconcile > 0, reconciler},
		{"MaxFetch", "MediaOpener", caps.MaxFetch > 0, opener},
	} {
		if role.declared && !role.played {
			problems = append(problems, role.capability+" is declared, but the adapter is no "+role.role)
		}
	}
	if sender && caps.MaxText <= 0 && len(caps.Attachments) == 0 {
		problems = append(problems, "a sender that can send nothing")
	}
	if opener && caps.MaxFetch <= 0 {
		problems = append(problems, "MaxFetch is zero, but the adapter is a MediaOpener")
	}
	return problems
}

// ways are how payloads come in, by name.
func (h Harness) ways(t *testing.T) map[string]reader {
	t.Helper()
	account, _ := h.account(t, Offline)
	ways := map[string]reader{}
	if hook, ok := account.(transports.Webhook); ok && h.Webhook != nil {
		ways["webhook"] = func(body []byte) ([]events.Inbound, error) {
			callback, err := hook.ParseWebhook(h.Webhook(body), body)
			return callback.Events, err
		}
	}
	if again, ok := account.(transports.Reparser); ok {
		ways["replay"] = func(body []byte) ([]events.Inbound, error) { return again.Reparse(h.kept(body)) }
	}
	if _, ok := account.(transports.Poller); ok && h.Polled != nil {
		ways["poll"] = func(body []byte) ([]events.Inbound, error) { return h.pollOne(t, body) }
	}
	for name, read := range ways {
		ways[name] = caught(read)
	}
	return ways
}

// read is the shortest way in.
func (h Harness) read(t *testing.T) reader {
	t.Helper()
	ways := h.ways(t)
	for _, name := range []string{"webhook", "replay", "poll"} {
		if way, ok := ways[name]; ok {
			return way
		}
	}
	t.Fatal("the adapter reads no payloads, or the harness offers no way to hand it one")
	return nil
}

// kept is a payload as Inbound.Raw has it.
func (h Harness) kept(body []byte) json.RawMessage {
	if h.Kept != nil {
		return h.Kept(body)
	}
	if json.Valid(body) && string(body) == eachInvalid(body) {
		return slices.Clone(body)
	}
	quoted, err := json.Marshal(eachInvalid(body))
	if err != nil { // strings always marshal
		return json.RawMessage(`""`)
	}
	return quoted
}
