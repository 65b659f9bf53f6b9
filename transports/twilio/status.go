package twilio

import (
	"strings"

	"parley/events"
)

// status is a callback about a message of ours
// (https://www.twilio.com/docs/messaging/guides/track-outbound-message-status).
// Callbacks are repeated and arrive in any order; which is the latest, is the
// store's to know.
func (p *parser) status(status string) []events.Inbound {
	to := p.number.party(p.first("To"))
	p.ev.Person = events.Person{Identity: to.identity, Address: to.address}
	sid := p.sid()
	if sid != "" && to.chat() != "" {
		p.ev.Key = events.MessageKey{Chat: to.chat(), Message: sid}
	}
	code := p.first("ErrorCode")
	p.ev.ProviderEvent = eventOf(sid, status, code)
	name, ok := statusName(status)
	if !ok {
		p.ev.Kind = events.Ignored
		p.ev.Reason = "a status of Twilio's that is not known: " + shortName(status)
		return []events.Inbound{p.ev}
	}
	p.ev.Kind = events.StatusChanged
	p.ev.Status = &events.Status{Name: name, Ref: p.ref}
	if name != events.Failed {
		return []events.Inbound{p.ev}
	}
	p.ev.Status.Code = code
	p.ev.Status.Words = p.number.reason(code, p.first("ChannelStatusMessage", "ErrorMessage"))
	if p.ev.Status.Words == "" {
		p.ev.Status.Words = map[bool]string{true: "it was cancelled at Twilio", false: "Twilio gave no reason"}[status == "canceled"]
	}
	return append([]events.Inbound{p.ev}, p.optedOut(code)...)
}

// codeOptedOut is the error of a message to somebody who opted out
// (https://www.twilio.com/docs/api/errors/21610). A messaging service takes such
// a message and says so only later.
const codeOptedOut = "21610"

func (p *parser) optedOut(code string) []events.Inbound {
	if code != codeOptedOut || !p.ev.Person.Identity.Valid() {
		return nil
	}
	return []events.Inbound{{
		Kind: events.Reachability, Person: p.ev.Person, Blocked: true, Reason: "opted out",
		ProviderEvent: p.ev.ProviderEvent + ":optout", ProviderTime: p.ev.ProviderTime, Raw: p.ev.Raw,
	}}
}

// eventOf names a report: Twilio gives it no id of its own.
func eventOf(sid, status, code string) string {
	if sid == "" {
		return ""
	}
	return strings.TrimSuffix(sid+":"+status+":"+code, ":")
}

// statusName is one of Twilio's statuses
// (https://www.twilio.com/docs/messaging/api/message-resource#message-status-values).
// All but the last say that Twilio has the message, which settles a send that
// ended uncertain.
func statusName(status string) (events.StatusName, bool) {
	switch status {
	case "accepted", "scheduled", "queued", "sending", "sent":
		return events.Sent, true
	case "delivered", "partially_delivered":
		return events.Delivered, true
	case "read":
		return events.Read, true
	case "undelivered", "failed", "canceled":
		return events.Failed, true
	}
	return "", false
}
