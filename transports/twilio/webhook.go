package twilio

import (
	"net/http"
	"net/url"

	twilio "github.com/twilio/twilio-go/client"

	"parley/events"
	"parley/transports"
)

// signatureHeader carries the signature
// (https://www.twilio.com/docs/usage/webhooks/webhooks-security).
const signatureHeader = "X-Twilio-Signature"

// refField is our own reference in the URL of a status callback, and in front of
// the stored payload.
const refField = "parley_ref"

// ParseWebhook implements [transports.Webhook]. Twilio is answered with nothing,
// which sends nothing.
func (n *Number) ParseWebhook(r *http.Request, body []byte) (transports.Callback, error) {
	if !n.signed(r, body) {
		return transports.Callback{}, transports.ErrForged
	}
	payload := body
	if ref := r.URL.Query().Get(refField); ref != "" && !looksJSON(body) {
		payload = append([]byte(refField+"="+url.QueryEscape(ref)+"&"), body...)
	}
	raw, isJSON := keep(payload)
	return transports.Callback{Events: n.parse(payload, raw, isJSON)}, nil
}

// signed reports whether a request was signed with one of the auth tokens, over
// the URL that Twilio was told and the query it was called with. Without a public
// URL nothing can be.
func (n *Number) signed(r *http.Request, body []byte) bool {
	given := r.Header.Values(signatureHeader)
	if n.webhook == "" || len(given) != 1 || given[0] == "" {
		return false
	}
	called := n.webhook
	if r.URL.RawQuery != "" {
		called += "?" + r.URL.RawQuery
	}
	ok := false
	for _, token := range n.tokens {
		validator := twilio.NewRequestValidator(token)
		// Every token is tried, so that the time does not tell which one it was.
		ok = validator.ValidateBody(called, body, given[0]) || ok
	}
	return ok
}

// statusCallback is where Twilio shall report what becomes of a message.
func (n *Number) statusCallback(ref string) string {
	if n.webhook == "" {
		return ""
	}
	if ref == "" {
		return n.webhook
	}
	return n.webhook + "?" + url.Values{refField: {ref}}.Encode()
}

// parse makes the events of one payload, of a webhook or of the list of messages.
func (n *Number) parse(payload, raw []byte, isJSON bool) []events.Inbound {
	if isJSON {
		return n.parseResource(raw)
	}
	form := parseForm(string(payload))
	p := parser{number: n, fields: form, ev: events.Inbound{Raw: raw}}
	if form.repaired {
		p.note("NUL bytes, or bytes that are not UTF-8, were replaced")
	}
	if form.unread {
		p.note("a field could not be read")
	}
	return p.parse()
}
