package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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
}

// Limits of what bots send (https://core.telegram.org/bots/api#sendmessage).
const (
	maxTextLen    = 4096
	maxCaptionLen = 1024
)

// reachable finds the chat that a bot may write to.
func (b *telegramBot) reachable(chatID string) (*thread, *refusal) {
	if chatID == "" {
		return nil, badRequest("chat_id is empty")
	}
	id, err := strconv.ParseInt(chatID, 10, 64)
	if err != nil || id <= 0 {
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
func (b *telegramBot) send(kind sendKind, p params, fault string) (*wireMessage, *refusal) {
	th, refused := b.reachable(p.get("chat_id"))
	var m *wireMessage
	if refused == nil {
		m, refused = b.accept(th, kind, p, fault)
	}
	if refused != nil {
		b.t.log.add(TelegramEntry{
			What: LogRefused, Bot: b.id, Chat: p.int("chat_id"), Kind: kind.name, Text: p.get(kind.text),
			Fault: fault, Code: refused.Code,
		})
		return nil, refused
	}
	return m, nil
}

func (b *telegramBot) accept(th *thread, kind sendKind, p params, fault string) (*wireMessage, *refusal) {
	now := b.t.opts.Now()
	m := &wireMessage{From: &b.user, Chat: th.person.chat(), Date: now.Unix()}
	if refused := b.fill(m, kind, p); refused != nil {
		return nil, refused
	}
	replyTo, missingOK, refused := repliesTo(p)
	if refused != nil {
		return nil, refused
	}
	rates := b.t.opts.Rates
	if wait := th.bucket.take(now, rates.PerChat, rates.Burst); wait > 0 {
		return nil, tooMany(wait)
	}
	if wait := b.bucket.take(now, rates.PerBot, rates.PerBot); wait > 0 {
		return nil, tooMany(wait)
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	if replyTo != 0 {
		if i := th.find(replyTo); i >= 0 {
			m.ReplyTo = th.messages[i].reply()
		} else if !missingOK {
			return nil, badRequest("message to be replied not found")
		}
	}
	// Numbered with the chat locked, so that its ids rise in the order of the log.
	m.MessageID = b.messages.Add(1)
	th.messages = append(th.messages, said{kind: kind.name, message: m, text: m.Text + m.Caption})
	b.t.log.add(TelegramEntry{
		What: LogSent, Bot: b.id, Chat: th.person.user.ID, MessageID: m.MessageID,
		Kind: kind.name, Text: m.Text + m.Caption, ReplyTo: replyTo, Fault: fault,
	})
	return m, nil
}

// fill checks and sets what a message holds.
func (b *telegramBot) fill(m *wireMessage, kind sendKind, p params) *refusal {
	if kind.field == "" {
		m.Text = strings.TrimSpace(p.get("text"))
		switch {
		case m.Text == "":
			return badRequest("message text is empty")
		case utf16Len(m.Text) > maxTextLen:
			return badRequest("message is too long")
		}
		return nil
	}
	if kind.text != "" {
		m.Caption = strings.TrimSpace(p.get(kind.text))
		if utf16Len(m.Caption) > maxCaptionLen {
			return badRequest("message caption is too long")
		}
	}
	f, ok := p.files[kind.field]
	if !ok {
		return badRequest(fmt.Sprintf("there is no %s in the request", strings.ReplaceAll(kind.name, "_", " ")))
	}
	if f.size == 0 {
		return badRequest("file must be non-empty")
	}
	if f.size > kind.limit {
		return badRequest(fmt.Sprintf("file of size %d bytes is too big for a %s; the maximum size is %d bytes", f.size, kind.name, kind.limit))
	}
	m.attach(kind.name, b.t.files.store(File{Name: f.name, Content: f.content, Size: f.size}, kind.name))
	return nil
}

// repliesTo reads reply_parameters, and reply_to_message_id from before them.
func repliesTo(p params) (id int64, missingOK bool, refused *refusal) {
	if s := p.get("reply_parameters"); s != "" {
		var r struct {
			MessageID int64 `json:"message_id"`
			MissingOK bool  `json:"allow_sending_without_reply"`
		}
		if json.Unmarshal([]byte(s), &r) != nil {
			return 0, false, badRequest("can't parse reply parameters JSON object")
		}
		return r.MessageID, r.MissingOK, nil
	}
	return p.int("reply_to_message_id"), p.get("allow_sending_without_reply") == "true", nil
}

func (b *telegramBot) react(p params) (any, *refusal) {
	var given []wireReaction
	if s := p.get("reaction"); s != "" && json.Unmarshal([]byte(s), &given) != nil {
		return nil, badRequest("can't parse reaction JSON object")
	}
	return b.change(p, "setMessageReaction", "message to react not found", func(m *said) *refusal {
		m.botReaction = emojiOf(given)
		return nil
	})
}

func (b *telegramBot) editText(p params) (any, *refusal) {
	text := strings.TrimSpace(p.get("text"))
	result, refused := b.change(p, "editMessageText", "message to edit not found", func(m *said) *refusal {
		switch {
		case !m.message.From.IsBot:
			return badRequest("message can't be edited")
		case text == "":
			return badRequest("message text is empty")
		case utf16Len(text) > maxTextLen:
			return badRequest("message is too long")
		case text == m.text:
			return badRequest("message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message")
		}
		edited := *m.message
		edited.Text, edited.EditDate = text, b.t.opts.Now().Unix()
		m.message, m.text = &edited, text
		return nil
	})
	if refused != nil {
		return nil, refused
	}
	if m, ok := result.(*wireMessage); ok {
		return m, nil
	}
	return result, nil
}

func (b *telegramBot) deleteMessage(p params) (any, *refusal) {
	if _, refused := b.change(p, "deleteMessage", "message to delete not found", func(m *said) *refusal {
		m.deleted = true
		return nil
	}); refused != nil {
		return nil, refused
	}
	return true, nil
}

// change does something to a message, and yields it, or true where the method
// answers so.
func (b *telegramBot) change(p params, method, missing string, do func(*said) *refusal) (any, *refusal) {
	th, refused := b.reachable(p.get("chat_id"))
	if refused != nil {
		return nil, refused
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	i := th.find(p.int("message_id"))
	if i < 0 {
		return nil, badRequest(missing)
	}
	if refused := do(&th.messages[i]); refused != nil {
		return nil, refused
	}
	b.t.log.add(TelegramEntry{
		What: LogCalled, Bot: b.id, Chat: th.person.user.ID, MessageID: th.messages[i].message.MessageID,
		Kind: method, Text: th.messages[i].text,
	})
	if method == "editMessageText" {
		return th.messages[i].message, nil
	}
	return true, nil
}

func (b *telegramBot) answerCallback(id string) (any, *refusal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.callIDs[id] {
		return nil, badRequest("query is too old and response timeout expired or query ID is invalid")
	}
	delete(b.callIDs, id)
	b.t.log.add(TelegramEntry{What: LogCalled, Bot: b.id, Kind: "answerCallbackQuery", Text: id})
	return true, nil
}

func emojiOf(reactions []wireReaction) []string {
	out := make([]string, 0, len(reactions))
	for _, r := range reactions {
		out = append(out, r.Emoji)
	}
	return slices.Clip(out)
}
