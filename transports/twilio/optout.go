package twilio

import (
	"strings"

	"parley/events"
)

// optOut is the event beside a message whose sender opts out, or in again. With
// Advanced Opt-Out Twilio says so (OptOutType); without, it acts on its default
// keywords for SMS, and says so to nobody
// (https://help.twilio.com/articles/223134027).
func (p *parser) optOut() []events.Inbound {
	if !p.ev.Person.Identity.Valid() {
		return nil
	}
	word := strings.ToUpper(p.first("OptOutType"))
	if word == "" && !p.number.whatsApp {
		word = keyword(p.values["Body"])
	}
	ev := events.Inbound{Kind: events.Reachability, Person: p.ev.Person, Raw: p.ev.Raw, ProviderTime: p.ev.ProviderTime}
	switch word {
	case "STOP":
		ev.Blocked, ev.Reason = true, "opted out"
	case "START":
		ev.Reason = "opted in again"
	default: // HELP among them
		return nil
	}
	if sid := p.sid(); sid != "" {
		ev.ProviderEvent = sid + ":" + strings.ToLower(word)
	}
	return []events.Inbound{ev}
}

// keyword is what a text means that is nothing but a keyword of Twilio's.
func keyword(text string) string {
	switch strings.ToUpper(strings.TrimSpace(text)) {
	case "STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT":
		return "STOP"
	case "START", "YES", "UNSTOP":
		return "START"
	}
	return ""
}
