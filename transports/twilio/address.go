package twilio

import (
	"errors"
	"regexp"
	"strings"

	"parley/events"
	"parley/transports"
)

// party is one end of a message.
type party struct {
	// network is Twilio's prefix, empty for SMS (https://www.twilio.com/docs/messaging/channels).
	network string
	// address is where an answer goes, without the prefix.
	address string
	// identity is who that is; none of an empty address.
	identity events.Identity
}

// plausiblePhone is what a carrier may write a phone number as. Anything with
// letters would be read as a vanity number.
var plausiblePhone = regexp.MustCompile(`^[+0-9][0-9 ().-]{5,24}$`)

// party reads an address as Twilio writes it. A number becomes its normalised
// identity; a sender name or short code, of which a carrier says nothing more,
// becomes an identity of its own, so that what it sends is stored and shown.
//
// A short code is never read as a local number, which it may look like.
func (n *Number) party(raw string) party {
	p := party{address: strings.TrimSpace(raw)}
	if network, rest, ok := strings.Cut(p.address, ":"); ok {
		p.network, p.address = strings.ToLower(network), strings.TrimSpace(rest)
	}
	if p.address == "" {
		return p
	}
	if plausiblePhone.MatchString(p.address) && !codeShape.MatchString(p.address) {
		if who, err := transports.NormalisePhone(p.address, n.country); err == nil {
			p.identity = who
			if !strings.HasPrefix(p.address, "+") {
				p.address = who.Value
			}
			return p
		} else if !errors.Is(err, transports.ErrNoIdentity) {
			return p
		}
	}
	p.identity = events.Identity{Kind: events.SenderName, Value: senderName(p.network, p.address)}
	return p
}

// senderName is a name as phones join text messages by it: in one case. Names of
// one network are not those of another, and other networks' may tell case.
func senderName(network, name string) string {
	if network == "" {
		return "sms:" + strings.ToLower(strings.Join(strings.Fields(name), " "))
	}
	return network + ":" + name
}

// chat is the key's half that names the conversation. It is the same whichever
// way Twilio writes a number.
func (p party) chat() string { return p.identity.Value }

// whatsAppID is a person who hides their number from businesses: Meta's
// business-scoped user id, a country and an opaque part.
var whatsAppID = regexp.MustCompile(`^[A-Z]{2}\.[0-9A-Za-z]{1,128}$`)

// answerable reports whether Twilio can send to an address.
func (n *Number) answerable(address string) bool {
	if n.whatsApp {
		return numberShape.MatchString(address) || whatsAppID.MatchString(address)
	}
	return numberShape.MatchString(address) || codeShape.MatchString(address)
}

// on writes an address for the channel's network.
func (n *Number) on(address string) string {
	if n.whatsApp && address != "" {
		return "whatsapp:" + address
	}
	return address
}
