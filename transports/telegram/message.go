package telegram

import (
	"strconv"
	"strings"

	"parley/events"
	"parley/transports"
)

// content normalises what a message holds
// (https://core.telegram.org/bots/api#message). Field is the update's field it
// came in.
func (p *parser) content(m *message, field string) *events.Content {
	c := &events.Content{Group: p.clean(m.MediaGroupID)}
	if m.ReplyTo != nil {
		if answered := key(m.ReplyTo.Chat, m.ReplyTo.MessageID); answered.Valid() {
			c.ReplyTo = &answered
		}
	}
	if m.Quote != nil {
		c.Quote = p.clean(m.Quote.Text)
	}
	if m.ForwardOrigin != nil {
		c.Forward = &events.Forward{From: p.clean(m.ForwardOrigin.words())}
	}
	c.Text, c.Entities = p.text(m.Text, m.Entities)
	if m.Text == "" {
		c.Text, c.Entities = p.text(m.Caption, m.CaptionEntities)
	}
	switch {
	case m.Text != "":
		c.Type = events.Text
	case m.Animation != nil: // before document, which accompanies it
		p.attach(c, events.Animation, m.Animation)
	case m.Document != nil:
		p.attach(c, events.Document, m.Document)
	case len(m.Photo) > 0:
		p.attach(c, events.Photo, largest(m.Photo))
	case m.Voice != nil:
		p.attach(c, events.Voice, m.Voice)
	case m.Audio != nil:
		p.attach(c, events.Audio, m.Audio)
	case m.Video != nil:
		p.attach(c, events.Video, m.Video)
	case m.VideoNote != nil:
		p.attach(c, events.VideoNote, m.VideoNote)
	case m.Sticker != nil:
		p.attach(c, events.Sticker, m.Sticker)
		c.Text = p.clean(m.Sticker.Emoji)
	case m.Venue != nil: // before location, which accompanies it
		c.Type = events.Place
		c.Location = &events.Location{
			Latitude: m.Venue.Location.Latitude, Longitude: m.Venue.Location.Longitude,
			Title: p.clean(m.Venue.Title), Address: p.clean(m.Venue.Address),
		}
	case m.Location != nil:
		c.Type = events.Place
		c.Location = &events.Location{Latitude: m.Location.Latitude, Longitude: m.Location.Longitude}
	case m.Contact != nil:
		p.card(c, m)
	default:
		p.other(c, m, field)
	}
	return c
}

// text checks a text's entities: those that reach beyond it are left to the raw
// payload.
func (p *parser) text(s string, in []entity) (string, []events.Entity) {
	s = p.clean(s)
	if len(in) == 0 {
		return s, nil
	}
	length := transports.UTF16Units.Count(s)
	out := make([]events.Entity, 0, len(in))
	beyond := false
	for _, e := range in {
		if e.Offset < 0 || e.Length <= 0 || e.Offset > length || e.Length > length-e.Offset {
			beyond = true
			continue
		}
		link := e.URL
		if link == "" && e.User != nil {
			// https://core.telegram.org/bots/api#formatting-options: "tg://user?id="
			link = "tg://user?id=" + strconv.FormatInt(e.User.ID, 10)
		}
		out = append(out, events.Entity{Type: p.clean(e.Type), Offset: e.Offset, Length: e.Length, URL: p.clean(link)})
	}
	if beyond {
		p.note("entities beyond the end of the text were left out")
	}
	return s, out
}

func (p *parser) attach(c *events.Content, kind events.ContentType, f *file) {
	a := events.Attachment{
		Kind: kind, Ref: p.clean(f.FileID), UniqueRef: p.clean(f.FileUniqueID),
		Name: p.clean(f.FileName), MIME: p.clean(f.MIMEType), Size: max(f.FileSize, 0),
		Width: f.Width, Height: f.Height, Duration: f.Duration,
	}
	if f.Length > 0 {
		a.Width, a.Height = f.Length, f.Length
	}
	if a.Name == "" && kind == events.Audio {
		a.Name = p.clean(strings.Trim(f.Performer+" - "+f.Title, " -"))
	}
	c.Type = kind
	c.Attachments = []events.Attachment{a}
}

// largest of a photo's sizes.
func largest(sizes []file) *file {
	best := &sizes[0]
	for i := range sizes[1:] {
		if s := &sizes[i+1]; s.Width*s.Height > best.Width*best.Height {
			best = s
		}
	}
	return best
}

// card is a shared contact. Telegram gives the owner's user id with it, so that
// a card of the sender's own proves the number, unless it was passed on.
func (p *parser) card(c *events.Content, m *message) {
	c.Type = events.ContactCard
	c.Contact = &events.Contact{
		Phone:     p.clean(m.Contact.PhoneNumber),
		FirstName: p.clean(m.Contact.FirstName),
		LastName:  p.clean(m.Contact.LastName),
	}
	sender := p.ev.Person.Identity
	if !sender.Valid() || m.ForwardOrigin != nil || transports.TelegramIdentity(m.Contact.UserID) != sender {
		return
	}
	c.Contact.Own = true
	// Accounts have international numbers, often given without the plus.
	phone, err := transports.NormalisePhone("+"+strings.TrimLeft(m.Contact.PhoneNumber, "+ "), "")
	if err != nil {
		phone, err = transports.NormalisePhone(m.Contact.PhoneNumber, p.bot.country)
	}
	if err != nil {
		p.note("the sender's own phone number could not be read")
		return
	}
	p.ev.Person.Proven = append(p.ev.Person.Proven, phone)
}

// words name where a forwarded message came from
// (https://core.telegram.org/bots/api#messageorigin).
func (o *messageOrigin) words() string {
	switch {
	case o.SenderUser != nil:
		return strings.TrimSpace(o.SenderUser.FirstName + " " + o.SenderUser.LastName)
	case o.SenderUserName != "":
		return o.SenderUserName
	case o.Chat != nil:
		return firstOf(o.Chat.Title, o.Chat.Username)
	case o.SenderChat != nil:
		return firstOf(o.SenderChat.Title, o.SenderChat.Username)
	}
	return ""
}
