package telegram

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	jsonv1 "github.com/go-json-experiment/json/v1"

	"parley/events"
	"parley/transports"
)

// Reasons of ignored events.
const (
	reasonGroups  = "group chats are off"
	reasonBot     = "sent by a bot"
	reasonNobody  = "a Telegram update about no person"
	reasonAnonym  = "sent in the name of a chat, not by a person"
	reasonStateOf = "a change of membership that neither blocks nor unblocks the bot"
	reasonOwn     = "sent by this bot itself"

	reasonConnected    = "a business account was connected to the bot"
	reasonReadOnly     = "a business account was connected to the bot without the right to reply: allow it in Telegram's business settings"
	reasonDisconnected = "a business account was disconnected from the bot"
)

// Reparse implements [transports.Reparser].
func (b *Bot) Reparse(raw json.RawMessage) ([]events.Inbound, error) {
	if !json.Valid(raw) {
		return nil, errors.New("telegram: not a stored payload")
	}
	var verbatim string
	if raw[0] == '"' && json.Unmarshal(raw, &verbatim) == nil {
		raw = json.RawMessage(verbatim)
	}
	evs, _ := b.parse(raw)
	return evs, nil
}

// parse makes the events of one update: one, but for deletions of several
// messages. It never fails: what it cannot read is an event of content type
// Unsupported. The string is the id of a callback query, which its presser waits
// to be answered.
func (b *Bot) parse(raw []byte) ([]events.Inbound, string) {
	p := parser{bot: b, raw: raw}
	var u update
	// The meaning of encoding/json in a fifth of its time, which is once a message.
	err := jsonv1.Unmarshal(raw, &u)
	var mistyped *jsonv1.UnmarshalTypeError
	p.broken = errors.As(err, &mistyped)
	p.ev.Raw = p.keep(err == nil || p.broken)
	if u.UpdateID != 0 {
		p.ev.ProviderEvent = strconv.FormatInt(u.UpdateID, 10)
	}
	if p.broken {
		// The rest was decoded: who and which message is known with luck.
		p.note("could not be read: " + firstOf(mistyped.Field, "the update"))
	} else if err != nil {
		p.note("the update could not be read")
		p.unsupported("unreadable update")
		return []events.Inbound{p.ev}, ""
	}
	callback := ""
	switch {
	case u.Message != nil:
		p.message(u.Message, "message")
	case u.EditedMessage != nil:
		p.edited(u.EditedMessage, "edited_message")
	case u.ChannelPost != nil:
		p.posted(u.ChannelPost)
	case u.EditedChannelPost != nil:
		p.posted(u.EditedChannelPost)
	case u.Business != nil:
		p.business(u.Business)
	case u.BusinessMessage != nil:
		if p.connect(u.BusinessMessage.Connection, "business_message") {
			p.message(u.BusinessMessage, "business_message")
		}
	case u.BusinessEdited != nil:
		if p.connect(u.BusinessEdited.Connection, "edited_business_message") {
			p.edited(u.BusinessEdited, "edited_business_message")
		}
	case u.BusinessDeleted != nil:
		if p.connect(u.BusinessDeleted.Connection, "deleted_business_messages") {
			return p.deleted(u.BusinessDeleted), ""
		}
	case u.Reaction != nil:
		p.reaction(u.Reaction)
	case u.Callback != nil:
		callback = u.Callback.ID
		p.callback(u.Callback)
	case u.MyChatMember != nil:
		p.membership(u.MyChatMember)
	default:
		p.unknownUpdate()
	}
	return []events.Inbound{p.ev}, callback
}

// parser makes one event.
type parser struct {
	bot *Bot
	raw []byte
	ev  events.Inbound
	// connection is the business connection that the update is about, empty when
	// it is about the bot's own chats.
	connection string
	// broken is set when a field had another type than the Bot API gives it.
	broken bool
	nuls   bool
}

func (p *parser) note(words string) { p.ev.Notes = append(p.ev.Notes, words) }

// clean takes out the NUL bytes that PostgreSQL cannot store. U+FFFD has their
// length in UTF-16, so that entities keep their places.
func (p *parser) clean(s string) string {
	if strings.IndexByte(s, 0) < 0 {
		return s
	}
	if !p.nuls {
		p.nuls = true
		p.note("NUL bytes were replaced")
	}
	return strings.ReplaceAll(s, "\x00", "\uFFFD")
}

// maxDepth is how deeply a payload may nest and still be kept as JSON. It stays
// below the 10000 levels that encoding/json reads, as events wrap it.
const maxDepth = 9000

// keep is the payload as the event carries it: JSON verbatim, anything else as a
// JSON string.
func (p *parser) keep(isJSON bool) json.RawMessage {
	isUTF8 := utf8.Valid(p.raw)
	if isJSON && isUTF8 && !tooDeep(p.raw) {
		return json.RawMessage(bytes.Clone(p.raw))
	}
	if !isUTF8 {
		p.note("bytes that are not UTF-8 were replaced")
	}
	quoted, err := json.Marshal(strings.ToValidUTF8(string(p.raw), "\uFFFD"))
	if err != nil { // strings always marshal
		return json.RawMessage(`""`)
	}
	return quoted
}

func tooDeep(raw []byte) bool {
	// Brackets inside strings are counted too: it only has to be cheap and safe.
	return len(raw) > maxDepth && bytes.Count(raw, []byte{'['})+bytes.Count(raw, []byte{'{'}) > maxDepth
}

// ignored accounts for an event of no message.
func (p *parser) ignored(reason string) {
	p.ev.Kind = events.Ignored
	p.ev.Reason = reason
	p.ev.Content = nil
}

// unsupported shows something as a message that holds nothing but its name. With
// a person it gets a key that repeats with a redelivery; without, the router
// quarantines it.
func (p *parser) unsupported(name string) {
	p.ev.Kind = events.Message
	p.ev.Content = &events.Content{Type: events.Unsupported, Unsupported: name}
	p.keyOfUpdate()
}

// keyOfUpdate stands in for a message id that there is none of.
func (p *parser) keyOfUpdate() {
	p.ev.Key = events.MessageKey{}
	if p.ev.Person.Address != "" && p.ev.ProviderEvent != "" {
		p.ev.Key = events.MessageKey{Chat: p.ev.Person.Address, Message: "update:" + p.ev.ProviderEvent}
	}
}

// person sets who an event is from. In private chats the chat's id is the
// user's (https://core.telegram.org/bots/api#chat), so that either suffices.
func (p *parser) person(from *user, in chat) {
	who := user{FirstName: in.FirstName, LastName: in.LastName, Username: in.Username}
	if from != nil {
		who = *from
	}
	if who.ID == 0 && in.private() {
		who.ID = in.ID
	}
	if in.ID == 0 {
		in.ID = who.ID
	}
	p.ev.Person = events.Person{
		Identity:  transports.TelegramIdentity(who.ID),
		FirstName: p.clean(who.FirstName),
		LastName:  p.clean(who.LastName),
		Username:  p.clean(who.Username),
		Language:  p.clean(who.LanguageCode),
	}
	if in.ID != 0 {
		p.ev.Person.Address = p.in(in).String()
	}
}

// in is the address of a chat in the update.
func (p *parser) in(c chat) address { return address{connection: p.connection, chat: c.ID} }

// private reports whether a chat is with one person. Only people's ids are
// positive.
func (c chat) private() bool { return c.Type == "private" || (c.Type == "" && c.ID > 0) }

func unix(seconds int64) time.Time {
	// Beyond the year 9999 time.Time has no JSON form, and the event would be lost.
	if seconds <= 0 || seconds > 253402300799 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// refuses ignores what comes from chats that are no client's, and reports
// whether it did.
func (p *parser) refuses(in chat) bool {
	if in.private() || in.ID == 0 || p.bot.groups {
		return false
	}
	p.ignored(reasonGroups)
	return true
}

// sender sets whom a message is from, or for one that the business wrote, whom
// it is to; and refuses what no client wrote.
func (p *parser) sender(m *message) (refused bool) {
	if p.connection != "" && m.Chat.private() && m.From != nil && m.From.ID != m.Chat.ID {
		p.ev.Ours = true
		p.person(nil, m.Chat)
		if m.SentBy != nil && m.SentBy.ID == p.bot.id {
			p.ignored(reasonOwn)
			return true
		}
		return false
	}
	p.person(m.From, m.Chat)
	switch {
	case p.refuses(m.Chat):
		return true
	case m.From != nil && m.From.IsBot:
		p.ignored(reasonBot)
		return true
	case m.SenderChat != nil && !m.Chat.private():
		p.ignored(reasonAnonym)
		return true
	}
	return false
}

func (p *parser) message(m *message, field string) {
	p.ev.Key = p.in(m.Chat).key(m.MessageID)
	p.ev.ProviderTime = unix(m.Date)
	if p.sender(m) {
		return
	}
	p.ev.Kind = events.Message
	if p.broken {
		p.ev.Content = &events.Content{Type: events.Unsupported, Unsupported: field, Text: p.clean(firstOf(m.Text, m.Caption))}
	} else {
		p.ev.Content = p.content(m, field)
	}
	if !p.ev.Key.Valid() {
		p.keyOfUpdate()
	}
}

func (p *parser) edited(m *message, field string) {
	p.ev.Key = p.in(m.Chat).key(m.MessageID)
	p.ev.ProviderTime = unix(firstOf(m.EditDate, m.Date))
	switch {
	case p.sender(m):
	case p.broken || !p.ev.Key.Valid():
		p.unsupported(field)
	default:
		p.ev.Kind = events.Edit
		p.ev.Content = p.content(m, field)
	}
}

func (p *parser) posted(m *message) {
	p.ev.Key = p.in(m.Chat).key(m.MessageID)
	p.ev.ProviderTime = unix(m.Date)
	if !p.refuses(m.Chat) {
		p.ignored(reasonAnonym)
	}
}

func (p *parser) reaction(r *messageReactionUpdated) {
	p.person(r.User, r.Chat)
	p.ev.Key = p.in(r.Chat).key(r.MessageID)
	p.ev.ProviderTime = unix(r.Date)
	switch {
	case p.refuses(r.Chat):
	case p.broken || !p.ev.Key.Valid():
		p.unsupported("message_reaction")
	case !p.ev.Person.Identity.Valid():
		p.ignored(reasonAnonym)
	default:
		p.ev.Kind = events.Reacted
		p.ev.Reaction = &events.Reaction{Emoji: make([]string, 0, len(r.NewReaction))}
		for _, one := range r.NewReaction {
			p.ev.Reaction.Emoji = append(p.ev.Reaction.Emoji, p.clean(emojiOf(one)))
		}
	}
}

// emojiOf is a reaction as text (https://core.telegram.org/bots/api#reactiontype).
func emojiOf(r reactionType) string {
	switch {
	case r.Emoji != "":
		return r.Emoji
	case r.CustomEmojiID != "":
		return customEmoji + r.CustomEmojiID
	case r.Type == "paid":
		return "⭐"
	}
	return r.Type
}

// callback shows a pressed button. It has no message id, but its own.
func (p *parser) callback(c *callbackQuery) {
	var under pressedMessage
	if c.Message != nil {
		under = *c.Message
	}
	if under.Connection != "" && !p.connect(under.Connection, "callback_query") {
		return
	}
	p.person(c.From, under.Chat)
	if p.refuses(under.Chat) {
		return
	}
	if p.broken || c.ID == "" {
		p.unsupported("callback_query")
		return
	}
	p.ev.Kind = events.Message
	p.ev.Key = events.MessageKey{Chat: p.ev.Person.Address, Message: "callback:" + p.clean(c.ID)}
	pressed := &events.Pressed{Label: p.clean(under.label(c.Data)), Payload: p.clean(firstOf(c.Data, c.GameShortName))}
	p.ev.Content = &events.Content{
		Type: events.Button, Pressed: pressed, Text: firstOf(pressed.Label, pressed.Payload),
		Topic: topic(under.ThreadID, under.IsTopic, under.DirectTopic),
	}
	if answered := p.in(under.Chat).key(under.MessageID); answered.Valid() {
		p.ev.Content.ReplyTo = &answered
	}
}

// label is what the button says that was made with data.
func (m *pressedMessage) label(data string) string {
	if m.ReplyMarkup == nil || data == "" {
		return ""
	}
	for _, row := range m.ReplyMarkup.Keyboard {
		for _, button := range row {
			if button.Data == data {
				return button.Text
			}
		}
	}
	return ""
}

// membership says whether the person can be written to
// (https://core.telegram.org/bots/api#chatmember).
func (p *parser) membership(m *chatMemberUpdated) {
	p.person(m.From, m.Chat)
	p.ev.ProviderTime = unix(m.Date)
	if p.refuses(m.Chat) {
		return
	}
	if p.broken || !p.ev.Person.Identity.Valid() {
		p.unsupported("my_chat_member")
		return
	}
	switch m.NewChatMember.Status {
	case "kicked":
		p.ev.Kind, p.ev.Blocked = events.Reachability, true
	case "member":
		p.ev.Kind = events.Reachability
	default:
		p.ignored(reasonStateOf)
	}
	if !m.Chat.private() {
		// The bot's place in a group says nothing about the person who changed it.
		p.ev.Blocked = false
		p.ignored(reasonStateOf)
	}
}

// firstOf is the first value that is set.
func firstOf[T comparable](values ...T) T {
	var zero T
	for _, v := range values {
		if v != zero {
			return v
		}
	}
	return zero
}
