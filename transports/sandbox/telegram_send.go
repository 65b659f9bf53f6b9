package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// sendKind is a method that sends: the kind of content, its field, the field of
// its words and how many bytes it takes.
type sendKind struct {
	name, field, text string
	limit             int64
}

// sends by method in lower case: method names are case-insensitive
// (https://core.telegram.org/bots/api#making-requests).
var sends = map[string]sendKind{
	"sendmessage":   {name: "text", text: "text"},
	"sendphoto":     {name: "photo", field: "photo", text: "caption", limit: 10 << 20},
	"senddocument":  {name: "document", field: "document", text: "caption", limit: maxUploadSize},
	"sendvoice":     {name: "voice", field: "voice", text: "caption", limit: maxUploadSize},
	"sendvideo":     {name: "video", field: "video", text: "caption", limit: maxUploadSize},
	"sendaudio":     {name: "audio", field: "audio", text: "caption", limit: maxUploadSize},
	"sendanimation": {name: "animation", field: "animation", text: "caption", limit: maxUploadSize},
	"sendvideonote": {name: "video_note", field: "video_note", limit: maxUploadSize},

	"sendmediagroup": {name: albumKind},
}

// Limits of what bots send (https://core.telegram.org/bots/api#sendmessage).
const (
	maxTextLen    = 4096
	maxCaptionLen = 1024
	maxTextBytes  = 1 << 15 // before anything else is looked at
)

// reach finds the chat that a method is about.
func (b *telegramBot) reach(p params) (*thread, *refusal) {
	if connection := p.get("business_connection_id"); connection != "" {
		return b.reachableAs(connection, p.get("chat_id"))
	}
	return b.reachable(p.get("chat_id"))
}

// reachable finds the chat that a bot may write to.
func (b *telegramBot) reachable(chatID string) (*thread, *refusal) {
	if chatID == "" {
		return nil, badRequest("chat_id is empty")
	}
	id := toInteger(chatID)
	if id <= 0 {
		return nil, badRequest("chat not found")
	}
	b.threadsMu.RLock()
	th := b.threads[id]
	b.threadsMu.RUnlock()
	if th == nil && b.t.opts.OpenChats {
		th = b.thread(b.t.stranger(id))
	}
	if th == nil {
		return nil, badRequest("chat not found")
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	if !th.open && !b.t.opts.OpenChats {
		return nil, badRequest("chat not found")
	}
	if th.blocked {
		return nil, &refusal{Code: http.StatusForbidden, Words: "Forbidden: bot was blocked by the user"}
	}
	if th.migrated != 0 {
		return nil, &refusal{
			Code: http.StatusBadRequest, MigrateTo: th.migrated,
			Words: "Bad Request: group chat was upgraded to a supergroup chat",
		}
	}
	return th, nil
}

// send accepts a message, or refuses it by the rules. Fault is what is about to
// happen to the answer.
func (b *telegramBot) send(kind sendKind, p params, fault string) (any, *refusal) {
	th, refused := b.reach(p)
	var m any
	if refused == nil {
		m, refused = b.accept(th, kind, p, fault)
	}
	if refused != nil {
		b.t.log.add(TelegramEntry{
			What: LogRefused, Bot: b.id, Chat: p.int("chat_id"), Connection: p.get("business_connection_id"), Kind: kind.name,
			Text: p.get(kind.text), Fault: fault, Code: refused.Code,
		})
		return nil, refused
	}
	return m, nil
}

func (b *telegramBot) accept(th *thread, kind sendKind, p params, fault string) (any, *refusal) {
	drafts, refused := b.drafts(kind, p)
	if refused != nil {
		return nil, refused
	}
	reply, refused := repliesTo(p)
	if refused != nil {
		return nil, refused
	}
	now := b.t.opts.Now()
	rates := b.t.opts.Rates
	if wait := th.bucket.takeAll(now, rates.PerChat, rates.Burst, len(drafts)); wait > 0 {
		return nil, tooMany(wait)
	}
	if wait := b.bucket.takeAll(now, rates.PerBot, rates.PerBot, len(drafts)); wait > 0 {
		return nil, tooMany(wait)
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	topic := p.int("message_thread_id")
	if th.account != nil {
		topic = 0 // business accounts' chats have none
	}
	if topic != 0 && !th.topics[topic] {
		return nil, badRequest("message thread not found")
	}
	var answered *wireMessage
	if reply.id != 0 {
		if i := th.find(reply.id); i >= 0 {
			answered = th.messages[i].reply()
		} else if !reply.missingOK && th.account == nil {
			return nil, badRequest("message to be replied not found")
		}
	}
	sent := make([]*wireMessage, 0, len(drafts))
	for _, d := range drafts {
		m := d.message
		m.From, m.Chat, m.Date, m.ReplyTo = &b.user, th.person.chat(), now.Unix(), answered
		if th.account != nil {
			m.From, m.SentBy, m.Connection = &th.account.owner.user, &b.user, th.account.id
		}
		if topic != 0 {
			m.ThreadID, m.IsTopic = topic, true
		}
		// Numbered with the chat locked, so that its ids rise in the order of the log.
		m.MessageID = th.nextID(b)
		text := m.Text + m.Caption
		th.messages = append(th.messages, said{kind: d.kind, message: m, text: text, fromBot: true})
		b.t.log.add(TelegramEntry{
			What: LogSent, Bot: b.id, Chat: th.person.user.ID, Connection: m.Connection, MessageID: m.MessageID,
			Kind: d.kind, Text: text, ReplyTo: reply.id, Topic: topic, Group: m.GroupID, Fault: fault,
		})
		sent = append(sent, m)
	}
	if kind.name == albumKind {
		return sent, nil
	}
	return sent[0], nil
}

// draft is a message that was not sent yet.
type draft struct {
	kind    string
	message *wireMessage
}

// drafts checks and makes what a request sends.
func (b *telegramBot) drafts(kind sendKind, p params) ([]draft, *refusal) {
	if kind.name == albumKind {
		return b.album(p)
	}
	m := &wireMessage{}
	if markup := p.get("reply_markup"); markup != "" {
		if !json.Valid([]byte(markup)) {
			return nil, badRequest("can't parse reply keyboard markup JSON object")
		}
		m.ReplyMarkup = json.RawMessage(markup)
	}
	refused := b.fill(m, kind, p)
	return []draft{{kind.name, m}}, refused
}

// fill checks and sets what a message holds.
func (b *telegramBot) fill(m *wireMessage, kind sendKind, p params) (refused *refusal) {
	if kind.field == "" {
		m.Text, m.Entities, refused = b.readText(p, "text", "entities")
		return refused
	}
	if kind.text != "" {
		if m.Caption, m.CaptionEntities, refused = b.readCaption(p.get(kind.text), p.get("parse_mode"), p.get("caption_entities")); refused != nil {
			return refused
		}
	}
	f, ok := p.files[kind.field]
	if !ok {
		id := p.get(kind.field)
		if id == "" {
			return badRequest(fmt.Sprintf("there is no %s in the request", strings.ReplaceAll(kind.name, "_", " ")))
		}
		return b.t.files.again(m, kind.name, id)
	}
	return b.t.attachUpload(m, kind.name, f, kind.limit)
}

// attachUpload puts an uploaded file into a message.
func (t *Telegram) attachUpload(m *wireMessage, kind string, f upload, limit int64) *refusal {
	if t.opts.LocalFiles != "" && limit == maxUploadSize {
		limit = maxLocalUpload
	}
	if f.size == 0 {
		return badRequest("file must be non-empty")
	}
	if f.size > limit {
		return badRequest(fmt.Sprintf("file of size %d bytes is too big for a %s; the maximum size is %d bytes", f.size, kind, limit))
	}
	m.attach(kind, t.files.store(File{Name: f.name, Content: f.content, Size: f.size}, kind))
	return nil
}

// replied is what a message answers.
type replied struct {
	id        int64
	missingOK bool
}

// repliesTo reads reply_parameters, and reply_to_message_id from before them.
func repliesTo(p params) (replied, *refusal) {
	s := p.get("reply_parameters")
	if s == "" {
		return replied{p.int("reply_to_message_id"), toBool(p.get("allow_sending_without_reply"))}, nil
	}
	var any json.RawMessage
	if json.Unmarshal([]byte(s), &any) != nil {
		return replied{}, badRequest("can't parse reply parameters JSON object")
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(any, &fields) != nil || fields == nil {
		return replied{}, badRequest("object expected as reply parameters")
	}
	if len(fields) == 0 {
		return replied{}, nil
	}
	id, refused := intField(fields, "message_id")
	if refused != nil {
		return replied{}, refused
	}
	var missingOK bool
	if raw, ok := fields["allow_sending_without_reply"]; ok && json.Unmarshal(raw, &missingOK) != nil {
		return replied{}, badRequest(`field "allow_sending_without_reply" must be of type Boolean`)
	}
	return replied{max(id, 0), missingOK}, nil
}

// intField reads a required number of a JSON object, which may be in quotes.
func intField(fields map[string]json.RawMessage, name string) (int64, *refusal) {
	raw, ok := fields[name]
	if !ok {
		return 0, badRequest(fmt.Sprintf("can't find field %q", name))
	}
	n, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 32)
	if err != nil {
		return 0, badRequest(fmt.Sprintf("field %q must be of type Number", name))
	}
	return n, nil
}
