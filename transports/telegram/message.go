package telegram

import (
	"fmt"
	"strconv"
	"strings"

	"parley/events"
	"parley/transports"
)

// content normalises what a message holds
// (https://core.telegram.org/bots/api#message). Field is the update's field it
// came in.
func (p *parser) content(m *message, field string) *events.Content {
	c := &events.Content{Group: p.clean(m.MediaGroupID), Topic: topic(m.ThreadID, m.IsTopic, m.DirectTopic)}
	p.answers(c, m)
	if m.ForwardOrigin != nil {
		c.Forward = &events.Forward{From: p.clean(m.ForwardOrigin.words())}
	}
	c.Text, c.Entities = p.text(m.Text, m.Entities)
	if m.Text == "" {
		c.Text, c.Entities = p.text(m.Caption, m.CaptionEntities)
	}
	written := c.Text
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
		c.Location = &events.Location{
			Latitude: m.Location.Latitude, Longitude: m.Location.Longitude, Live: m.Location.LivePeriod > 0,
		}
	case m.Contact != nil:
		p.card(c, m)
	case m.Poll != nil:
		c.Type = events.Poll
		c.Poll = &events.PollCard{Question: p.clean(m.Poll.Question), Options: make([]string, 0, len(m.Poll.Options))}
		for _, option := range m.Poll.Options {
			c.Poll.Options = append(c.Poll.Options, p.clean(option.Text))
		}
	case m.Dice != nil:
		c.Type = events.Dice
		c.Text = p.clean(fmt.Sprintf("%s %d", m.Dice.Emoji, m.Dice.Value))
	case m.Story != nil:
		c.Type = events.Story
		if from := firstOf(m.Story.Chat.Title, strings.TrimSpace(m.Story.Chat.FirstName+" "+m.Story.Chat.LastName), m.Story.Chat.Username); from != "" {
			c.Forward = &events.Forward{From: p.clean(from)}
		}
	default:
		p.other(c, field)
	}
	if c.Text != written {
		c.Entities = nil // they mark up what was written
	}
	return c
}

// answers sets what a message replies to. What it answers in another chat is
// named too: the message may be known from there.
func (p *parser) answers(c *events.Content, m *message) {
	var answered events.MessageKey
	switch {
	case m.ReplyTo != nil:
		answered = p.in(m.ReplyTo.Chat).key(m.ReplyTo.MessageID)
	case m.ReplyToStory != nil && m.ReplyToStory.ID > 0:
		// Stories have ids of their own.
		answered = p.in(m.Chat).key(m.ReplyToStory.ID)
		answered.Message = "story:" + answered.Message
		p.note("answers a story")
	case m.ExternalReply != nil:
		if m.ExternalReply.Chat != nil {
			answered = address{chat: m.ExternalReply.Chat.ID}.key(m.ExternalReply.MessageID)
		}
		words := "answers a message of another chat"
		if o := m.ExternalReply.Origin; o != nil && o.words() != "" {
			words += ", from " + o.words()
		}
		p.note(p.clean(words))
	}
	if answered.Valid() {
		c.ReplyTo = &answered
	}
	if m.Quote != nil {
		c.Quote = p.clean(m.Quote.Text)
	}
}

// directPrefix precedes the topic of a channel's direct messages, which is
// numbered apart from the topics of forums.
const directPrefix = "direct:"

// topic is the thread that a message belongs to. Replies in groups have a thread
// id too, which is none unless the message says so
// (https://core.telegram.org/bots/api#message, is_topic_message).
func topic(thread int64, is bool, direct *directTopic) string {
	switch {
	case direct != nil && direct.ID != 0:
		return directPrefix + strconv.FormatInt(direct.ID, 10)
	case is && thread > 0:
		return strconv.FormatInt(thread, 10)
	}
	return ""
}

// Links that stand for what an entity refers to, by the forms that Telegram's
// own markup has for them (https://core.telegram.org/bots/api#formatting-options).
const (
	userLink  = "tg://user?id="
	emojiLink = "tg://emoji?id="
)

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
		switch {
		case link != "":
		case e.User != nil:
			link = userLink + strconv.FormatInt(e.User.ID, 10)
		case e.CustomEmojiID != "":
			link = emojiLink + e.CustomEmojiID
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
	if f.Thumbnail != nil {
		a.Preview = p.clean(f.Thumbnail.FileID)
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
	if p.ev.Ours || !sender.Valid() || m.ForwardOrigin != nil || transports.TelegramIdentity(m.Contact.UserID) != sender {
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
