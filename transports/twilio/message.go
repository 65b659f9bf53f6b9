package twilio

import (
	"fmt"
	"math"
	"mime"
	"net/url"
	"path"
	"strconv"
	"strings"

	"parley/events"
)

// parser makes the events of one webhook.
type parser struct {
	number *Number
	fields
	// ref is our own reference, which a status callback's URL carries.
	ref string
	ev  events.Inbound
}

func (p *parser) note(words string) { p.ev.Notes = append(p.ev.Notes, words) }

// sid names the message; the older names hold the same
// (https://www.twilio.com/docs/messaging/guides/webhook-request).
func (p *parser) sid() string { return p.first("MessageSid", "SmsMessageSid", "SmsSid") }

// parse tells what the webhook is about. It never fails: what it cannot read is an
// event of content type Unsupported.
func (p *parser) parse() []events.Inbound {
	status := strings.ToLower(p.first("MessageStatus", "SmsStatus"))
	switch {
	case status != "" && status != "received" && status != "receiving" && status != "inbound":
		return p.status(status)
	case p.sid() == "" && p.first("From") == "":
		p.unsupported("a webhook about no message")
		return []events.Inbound{p.ev}
	}
	return p.message()
}

// unsupported shows something as a message that holds nothing but its name.
// Without a key the router quarantines it.
func (p *parser) unsupported(name string) {
	p.ev.Kind = events.Message
	p.ev.Content = &events.Content{Type: events.Unsupported, Unsupported: name}
}

// message is an inbound message, and what it says about being written to.
func (p *parser) message() []events.Inbound {
	from := p.number.party(p.first("From"))
	if from.identity.Kind != events.Phone && p.first("WaId") != "" && !whatsAppID.MatchString(from.address) {
		// WhatsApp's id is the number without its plus.
		if who := p.number.party("whatsapp:+" + strings.TrimPrefix(p.first("WaId"), "+")); who.identity.Kind == events.Phone {
			from = who
		}
	}
	p.ev.Kind = events.Message
	p.ev.Person = events.Person{Identity: from.identity, Address: from.address, FirstName: p.first("ProfileName")}
	if sid := p.sid(); sid != "" && from.chat() != "" {
		p.ev.Key = events.MessageKey{Chat: from.chat(), Message: sid}
	}
	if (from.network == "whatsapp") != p.number.whatsApp {
		p.note("it came by another network than the channel's: point that sender's webhook at a channel of its own")
	}
	p.ev.Content = p.content()
	return append([]events.Inbound{p.ev}, p.optOut()...)
}

func (p *parser) content() *events.Content {
	c := &events.Content{
		Type: events.Text, Text: p.values["Body"], Attachments: p.attachments(),
		Location: p.location(), Pressed: p.pressed(), Referral: p.referral(),
	}
	if sid := p.first("OriginalRepliedMessageSid"); sid != "" {
		c.ReplyTo = &events.MessageKey{Chat: p.ev.Key.Chat, Message: sid}
		if !c.ReplyTo.Valid() {
			c.ReplyTo = nil
		}
	}
	switch {
	case p.is("FrequentlyForwarded"):
		c.Forward = &events.Forward{From: "forwarded many times"}
	case p.is("Forwarded"):
		c.Forward = &events.Forward{}
	}
	kind := p.first("MessageType")
	switch {
	case len(c.Attachments) > 0:
		c.Type = c.Attachments[0].Kind
	case c.Location != nil:
		c.Type = events.Place
	case c.Pressed != nil:
		c.Type = events.Button
	case c.Text == "" && (kind == "unsupported" || kind == "unknown"):
		c.Type, c.Unsupported = events.Unsupported, "a kind of message that WhatsApp hands on to nobody"
	case c.Text == "" && kind != "" && kind != "text":
		// "order", "interactive", and what is still to come.
		c.Type, c.Unsupported = events.Unsupported, shortName(kind)
	}
	return c
}

// maxAttachments bounds what a made-up NumMedia asks for; Twilio's is 10.
const maxAttachments = 32

// attachments are MediaUrl0 and so on, as many as NumMedia says.
func (p *parser) attachments() []events.Attachment {
	n, err := strconv.Atoi(p.first("NumMedia"))
	if err != nil && p.first("NumMedia") != "" {
		p.note("the number of files could not be read")
		n = maxAttachments
	}
	var all []events.Attachment
	for i := range max(min(n, maxAttachments), 0) {
		ref := p.values["MediaUrl"+strconv.Itoa(i)]
		if ref == "" {
			continue
		}
		all = append(all, p.attachment(ref, p.values["MediaContentType"+strconv.Itoa(i)]))
	}
	if err == nil && n > len(all) {
		p.note(fmt.Sprintf("%d of %d files have no address", n-len(all), n))
	}
	return all
}

func (p *parser) attachment(ref, kind string) events.Attachment {
	a := events.Attachment{Kind: kindOf(kind), Ref: ref, MIME: kind}
	if u, err := url.Parse(ref); err == nil {
		if sid := clean(path.Base(u.Path)); strings.HasPrefix(sid, "ME") {
			a.UniqueRef = sid
		}
	}
	if p.number.whatsApp {
		switch {
		case a.Kind == events.Audio && strings.HasPrefix(kind, "audio/ogg"):
			a.Kind = events.Voice // WhatsApp records in nothing else
		case p.first("MessageType") == "sticker", kind == "image/webp":
			a.Kind = events.Sticker
		}
	}
	return a
}

// kindOf is the kind of file a content type stands for.
func kindOf(contentType string) events.ContentType {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = strings.ToLower(contentType)
	}
	switch {
	case kind == "image/gif":
		return events.Animation
	case strings.HasPrefix(kind, "image/"):
		return events.Photo
	case strings.HasPrefix(kind, "video/"):
		return events.Video
	case strings.HasPrefix(kind, "audio/"):
		return events.Audio
	}
	return events.Document
}

func (p *parser) location() *events.Location {
	if p.first("Latitude", "Longitude") == "" {
		return nil
	}
	latitude, err := strconv.ParseFloat(p.values["Latitude"], 64)
	longitude, err2 := strconv.ParseFloat(p.values["Longitude"], 64)
	// Not a number is no number between others.
	if err != nil || err2 != nil || !(math.Abs(latitude) <= 90) || !(math.Abs(longitude) <= 180) {
		p.note("the place could not be read")
		return nil
	}
	return &events.Location{Latitude: latitude, Longitude: longitude, Title: p.first("Label"), Address: p.first("Address")}
}

// pressed is a quick reply's button, or an entry of a list
// (https://www.twilio.com/docs/whatsapp/buttons).
func (p *parser) pressed() *events.Pressed {
	pressed := events.Pressed{Label: p.first("ButtonText", "ListTitle"), Payload: p.first("ButtonPayload", "ListId")}
	if pressed == (events.Pressed{}) {
		return nil
	}
	return &pressed
}

// referral is the advertisement that a conversation came from
// (https://www.twilio.com/docs/whatsapp/api#receive-messages-from-click-to-whatsapp-ads).
func (p *parser) referral() *events.Referral {
	referral := events.Referral{
		Source: p.first("ReferralSourceType"), ID: p.first("ReferralSourceId", "ReferralCtwaClid"), URL: p.first("ReferralSourceUrl"),
		Headline: p.first("ReferralHeadline"), Body: p.first("ReferralBody"),
	}
	if referral == (events.Referral{}) {
		return nil
	}
	return &referral
}

// shortName keeps a made-up name from becoming a wall of text.
func shortName(name string) string {
	if r := []rune(name); len(r) > 64 {
		return string(r[:64])
	}
	return name
}
