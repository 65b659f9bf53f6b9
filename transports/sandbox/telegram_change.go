package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
)

// react sets the bot's reaction
// (https://core.telegram.org/bots/api#setmessagereaction). Business accounts' chats
// have no such method: their messages are not found.
func (b *telegramBot) react(p params) (any, *refusal) {
	emoji, refused := readReactions(p.get("reaction"))
	if refused != nil {
		return nil, refused
	}
	th, refused := b.reachable(p.get("chat_id"))
	if refused != nil {
		return nil, refused
	}
	return b.change(th, p, "setMessageReaction", "message to react not found", func(m *said) *refusal {
		if len(emoji) > 1 {
			return badRequest("REACTIONS_TOO_MANY")
		}
		for _, e := range emoji {
			// What is no standard reaction must be there already.
			if !slices.Contains(standardReactions(), e) && !slices.Contains(m.reaction, e) {
				return badRequest("REACTION_INVALID")
			}
		}
		m.botReaction = emoji
		return nil
	})
}

func readReactions(list string) ([]string, *refusal) {
	if list == "" {
		return nil, nil
	}
	var any json.RawMessage
	if json.Unmarshal([]byte(list), &any) != nil {
		return nil, badRequest("can't parse reaction types JSON object")
	}
	var given []json.RawMessage
	if json.Unmarshal(any, &given) != nil {
		return nil, badRequest("expected an Array of ReactionType")
	}
	unparsed := func(words string) ([]string, *refusal) { return nil, badRequest("can't parse ReactionType: " + words) }
	out := make([]string, 0, len(given))
	for _, raw := range given {
		var fields map[string]json.RawMessage
		if json.Unmarshal(raw, &fields) != nil || fields == nil {
			return unparsed("expected an Object")
		}
		var kind, value string
		if json.Unmarshal(fields["type"], &kind) != nil {
			return unparsed(`can't find field "type"`)
		}
		switch kind {
		case "emoji":
			if json.Unmarshal(fields["emoji"], &value) != nil {
				return unparsed(`can't find field "emoji"`)
			}
		case "custom_emoji":
			if json.Unmarshal(fields["custom_emoji_id"], &value) != nil {
				return unparsed(`can't find field "custom_emoji_id"`)
			}
			value = customEmoji + value
		default:
			return unparsed("invalid reaction type specified")
		}
		out = append(out, value)
	}
	return out, nil
}

// customEmoji precedes the id of a reaction that is no standard emoji.
const customEmoji = "custom_emoji:"

// standardReactions are the emoji that are reactions
// (https://core.telegram.org/bots/api#reactiontypeemoji).
func standardReactions() []string {
	return strings.Fields("👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤\u200d🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 " +
		"👨\u200d💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷\u200d♂ 🤷 🤷\u200d♀ 😡")
}

const notModified = "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message"

func (b *telegramBot) editText(p params) (any, *refusal) {
	text, entities, refused := b.readText(p, "text", "entities")
	if refused != nil {
		return nil, refused
	}
	return b.edit(p, "editMessageText", func(m *wireMessage) *refusal {
		switch {
		case m.Text == "":
			return badRequest("there is no text in the message to edit")
		case m.Text == text && sameEntities(m.Entities, entities):
			return badRequest(notModified)
		}
		m.Text, m.Entities = text, entities
		return nil
	})
}

func (b *telegramBot) editCaption(p params) (any, *refusal) {
	caption, entities, refused := b.readCaption(p.get("caption"), p.get("parse_mode"), p.get("caption_entities"))
	if refused != nil {
		return nil, refused
	}
	return b.edit(p, "editMessageCaption", func(m *wireMessage) *refusal {
		switch {
		case m.Text != "" || m.VideoNote != nil || m.Sticker != nil:
			return badRequest("there is no caption in the message to edit")
		case m.Caption == caption && sameEntities(m.CaptionEntities, entities):
			return badRequest(notModified)
		}
		m.Caption, m.CaptionEntities = caption, entities
		return nil
	})
}

func sameEntities(a, b []wireEntity) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return len(a) == len(b) && string(x) == string(y)
}

// edit changes a message of the bot's, or one that a business account's owner
// wrote, and yields it.
func (b *telegramBot) edit(p params, method string, do func(*wireMessage) *refusal) (any, *refusal) {
	if p.get("chat_id") == "" && p.int("message_id") == 0 {
		return nil, badRequest("message identifier is not specified")
	}
	th, refused := b.reach(p)
	if refused != nil {
		return nil, refused
	}
	var edited wireMessage
	if _, refused = b.change(th, p, method, "message to edit not found", func(s *said) *refusal {
		mine := s.fromBot || (th.account != nil && s.message.From.ID == th.account.owner.user.ID)
		if !mine {
			return badRequest("message can't be edited")
		}
		edited = *s.message
		edited.EditDate = b.t.opts.Now().Unix()
		if refused := do(&edited); refused != nil {
			return refused
		}
		s.message, s.text = &edited, edited.Text+edited.Caption
		return nil
	}); refused != nil {
		return nil, refused
	}
	return &edited, nil
}

func (b *telegramBot) deleteMessage(p params) (any, *refusal) {
	th, refused := b.reachable(p.get("chat_id"))
	if refused != nil {
		return nil, refused
	}
	return b.change(th, p, "deleteMessage", "message to delete not found", func(m *said) *refusal {
		m.deleted = true
		return nil
	})
}

// change does something to a message, logs it, and yields true.
func (b *telegramBot) change(th *thread, p params, method, missing string, do func(*said) *refusal) (any, *refusal) {
	th.mu.Lock()
	defer th.mu.Unlock()
	i := th.find(p.int("message_id"))
	if i < 0 {
		return nil, badRequest(missing)
	}
	if refused := do(&th.messages[i]); refused != nil {
		return nil, refused
	}
	m := &th.messages[i]
	b.t.log.add(TelegramEntry{
		What: LogCalled, Bot: b.id, Chat: th.person.user.ID, Connection: m.message.Connection, MessageID: m.message.MessageID,
		Kind: method, Text: m.text,
	})
	return true, nil
}

// chatActions are what sendChatAction can show
// (https://core.telegram.org/bots/api#sendchataction).
func chatActions() []string {
	return []string{
		"cancel", "typing", "record_video", "upload_video", "record_voice", "upload_voice", "record_audio", "upload_audio",
		"upload_photo", "upload_document", "choose_sticker", "pick_up_location", "find_location", "record_video_note", "upload_video_note",
	}
}

func (b *telegramBot) chatAction(p params) (any, *refusal) {
	action := strings.ToLower(p.get("action"))
	if !slices.Contains(chatActions(), action) {
		return nil, badRequest("wrong parameter action in request")
	}
	th, refused := b.reach(p)
	if refused != nil {
		return nil, refused
	}
	b.t.log.add(TelegramEntry{
		What: LogCalled, Bot: b.id, Chat: th.person.user.ID, Connection: p.get("business_connection_id"), Kind: "sendChatAction", Text: action,
	})
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
