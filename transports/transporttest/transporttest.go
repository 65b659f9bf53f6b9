// Package transporttest is the conformance suite that every adapter passes: what
// the seam promises, tried on the roles that an adapter plays and within the
// capabilities that it declares.
//
// It stands between the adapter and its network as an [http.RoundTripper], so
// that requests can fail at a chosen point, on a clock of its own: no test
// waits for real time.
package transporttest

import (
	"net/http"
	"testing"

	"parley/transports"
)

// Harness is what the suite has to know about an adapter.
type Harness struct {
	// New builds an account whose requests go through client.
	New func(t *testing.T, client *http.Client) transports.Transport
	// Secrets are what no error may hold.
	Secrets []string
	// Provider takes whatever is sent to it, and answers as the provider does on
	// success.
	Provider http.Handler
	// To is an address that can be written to.
	To string

	// Webhook is a request with that body that proves its origin.
	Webhook func(body []byte) *http.Request
	// Forgeries spoil such a request, by the name of what is wrong with it.
	Forgeries map[string]func(*http.Request)
	// Message is a genuine body: one person's nth message, n counted from 1.
	Message func(n int, text string) []byte
}

// Run tries everything that the adapter's roles allow.
func Run(t *testing.T, h Harness) {
	t.Helper()
	account := h.New(t, noNetwork(t))
	t.Run("capabilities", func(t *testing.T) { h.capabilities(t) })
	if hook, ok := account.(transports.Webhook); ok {
		t.Run("webhook", func(t *testing.T) { h.webhook(t, hook) })
	}
	if _, ok := account.(transports.Sender); ok {
		t.Run("send", func(t *testing.T) { h.send(t) })
		t.Run("split", func(t *testing.T) { h.split(t) })
	}
	if _, ok := account.(transports.Poller); ok {
		t.Run("poll", func(t *testing.T) { h.poll(t) })
	}
	t.Run("secrets", func(t *testing.T) { h.secrets(t) })
}

func (h Harness) capabilities(t *testing.T) {
	account := h.New(t, noNetwork(t))
	caps := account.Capabilities()
	for kind := range caps.Attachments {
		caps.Attachments[kind] = -1
	}
	for kind, limit := range account.Capabilities().Attachments {
		if limit <= 0 {
			t.Errorf("the limit of a %s is %d bytes, or the caller can change it", kind, limit)
		}
	}
	if _, ok := account.(transports.Sender); ok && caps.MaxText <= 0 && len(caps.Attachments) == 0 {
		t.Error("a sender that can send nothing")
	}
	if caps.MaxCaption > 0 && len(caps.Attachments) == 0 {
		t.Error("captions of what cannot be attached")
	}
	if _, ok := account.(transports.MediaOpener); ok != (caps.MaxFetch > 0) {
		t.Error("MaxFetch and OpenMedia go together")
	}
	for _, rate := range []transports.Rate{caps.Rate, caps.PersonRate} {
		if (rate.Messages > 0) != (rate.Per > 0) || rate.Messages < 0 || rate.Burst < 0 {
			t.Errorf("rate %+v is neither a limit nor none", rate)
		}
	}
}
