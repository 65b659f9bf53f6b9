package twilio

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"parley/events"
)

// listed is a message as the list has it
// (https://www.twilio.com/docs/messaging/api/message-resource#message-properties).
type listed struct {
	SID         string `json:"sid"`
	Direction   string `json:"direction"`
	From        string `json:"from"`
	To          string `json:"to"`
	Body        string `json:"body"`
	Status      string `json:"status"`
	NumMedia    string `json:"num_media"`
	Service     string `json:"messaging_service_sid"`
	DateCreated string `json:"date_created"`
	DateSent    string `json:"date_sent"`
	DateUpdated string `json:"date_updated"`
	ErrorCode   *int   `json:"error_code"`
	ErrorWords  string `json:"error_message"`
}

func (m listed) inbound() bool { return m.Direction == "inbound" }

// created is when Twilio made the message, zero when it does not say.
func (m listed) created() time.Time { return parseTime(m.DateCreated) }

// parseTime reads Twilio's RFC 2822 dates.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC1123Z, s)
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}

// found is the payload of an event that comes from the list: the message and the
// list of its files, both verbatim.
type found struct {
	Message json.RawMessage   `json:"message"`
	Media   []json.RawMessage `json:"media,omitempty"`
}

// parseResource makes the events of a payload that is JSON: what Reconcile stored,
// or a webhook of another product, which is shown as unsupported.
func (n *Number) parseResource(raw json.RawMessage) []events.Inbound {
	var (
		it found
		m  listed
	)
	if json.Unmarshal(raw, &it) != nil || json.Unmarshal(it.Message, &m) != nil || m.SID == "" {
		p := parser{number: n, ev: events.Inbound{Raw: raw}}
		p.unsupported("a webhook that is not about messages")
		return []events.Inbound{p.ev}
	}
	form := map[string]string{
		"MessageSid": m.SID, "From": m.From, "To": m.To, "Body": m.Body, "NumMedia": m.NumMedia, "MessagingServiceSid": m.Service,
		"ErrorMessage": m.ErrorWords,
	}
	p := parser{number: n, fields: fields{values: map[string]string{}}, ev: events.Inbound{Raw: raw}}
	if m.ErrorCode != nil && *m.ErrorCode != 0 {
		form["ErrorCode"] = strconv.Itoa(*m.ErrorCode)
	}
	for i, file := range it.Media {
		if ref, kind, ok := n.listedFile(file); ok {
			form["MediaUrl"+strconv.Itoa(i)] = ref
			form["MediaContentType"+strconv.Itoa(i)] = kind
		}
	}
	for name, value := range form {
		p.values[name] = clean(value)
	}
	if !m.inbound() {
		p.ev.ProviderTime = parseTime(m.DateUpdated)
		return p.status(strings.ToLower(clean(m.Status)))
	}
	if p.ev.ProviderTime = parseTime(m.DateSent); p.ev.ProviderTime.IsZero() {
		p.ev.ProviderTime = m.created()
	}
	p.note("found in Twilio's list of messages: its webhook did not come, and only that tells names, buttons and places")
	evs := p.message()
	if c := evs[0].Content; c.Type == events.Text && c.Text == "" {
		c.Type, c.Unsupported = events.Unsupported, "a message without text, of which the list does not tell the kind"
	}
	return evs
}

// listedFile is the address and the content type of an entry of a message's list
// of files. The webhook's address of the same file has no ending.
func (n *Number) listedFile(entry json.RawMessage) (ref, kind string, ok bool) {
	var media struct {
		URI  string `json:"uri"`
		Type string `json:"content_type"`
	}
	if json.Unmarshal(entry, &media) != nil || !strings.HasPrefix(media.URI, "/") {
		return "", "", false
	}
	return n.base.String() + strings.TrimSuffix(media.URI, ".json"), media.Type, true
}
