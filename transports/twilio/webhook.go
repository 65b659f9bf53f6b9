package twilio

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"parley/events"
	"parley/transports"
)

// signatureHeader carries the signature
// (https://www.twilio.com/docs/usage/webhooks/webhooks-security).
const signatureHeader = "X-Twilio-Signature"

// refField is our own reference in the URL of a status callback.
const refField = "parley_ref"

// called is the payload of a callback whose URL said something, too.
type called struct {
	Ref  string  `json:"parley_ref"`
	Form *string `json:"form"`
}

// ParseWebhook implements [transports.Webhook]. Twilio is answered with nothing,
// which sends nothing.
func (n *Number) ParseWebhook(r *http.Request, body []byte) (transports.Callback, error) {
	if !n.signed(r, body) {
		return transports.Callback{}, transports.ErrForged
	}
	raw, isJSON := keep(body)
	if ref := clean(r.URL.Query().Get(refField)); ref != "" && !isJSON {
		form := strings.ToValidUTF8(string(body), "\uFFFD")
		if with, err := json.Marshal(called{Ref: ref, Form: &form}); err == nil {
			return transports.Callback{Events: n.parseForm(string(body), ref, with)}, nil
		}
	}
	return transports.Callback{Events: n.parse(body, raw, isJSON)}, nil
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
		return n.parseJSON(raw)
	}
	return n.parseForm(string(payload), "", raw)
}

// parseJSON tells apart what is kept as JSON, and webhooks of other products.
func (n *Number) parseJSON(raw json.RawMessage) []events.Inbound {
	var callback called
	if json.Unmarshal(raw, &callback) == nil && callback.Form != nil {
		return n.parseForm(*callback.Form, clean(callback.Ref), raw)
	}
	return n.parseResource(raw)
}

func (n *Number) parseForm(form, ref string, raw json.RawMessage) []events.Inbound {
	f := parseForm(form)
	p := parser{number: n, fields: f, ref: ref, ev: events.Inbound{Raw: raw}}
	if f.repaired {
		p.note("NUL bytes, or bytes that are not UTF-8, were replaced")
	}
	if f.unread {
		p.note("a field could not be read")
	}
	return p.parse()
}
