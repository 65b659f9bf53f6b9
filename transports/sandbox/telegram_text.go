package sandbox

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
)

// readText reads a message's text and what marks it up.
func (b *telegramBot) readText(p params, text, entities string) (string, []wireEntity, *refusal) {
	said, marks, refused := b.marked(p.get(text), p.get("parse_mode"), p.get(entities))
	switch {
	case refused != nil:
		return "", nil, refused
	case said == "":
		return "", nil, badRequest("message text is empty")
	case utf16Len(said) > maxTextLen:
		return "", nil, badRequest("message is too long")
	}
	return said, marks, nil
}

// readCaption is readText of a caption, which may be empty.
func (b *telegramBot) readCaption(text, parseMode, entities string) (string, []wireEntity, *refusal) {
	said, marks, refused := b.marked(text, parseMode, entities)
	if refused == nil && utf16Len(said) > maxCaptionLen {
		refused = badRequest("message caption is too long")
	}
	return said, marks, refused
}

// marked reads a text with entities as Telegram does: white space around it goes,
// entities move along and end with it, and those that it does not know are an
// error, those in JSON that it cannot read are none. A parse_mode is taken, its
// markup left in the text.
func (b *telegramBot) marked(text, parseMode, entities string) (string, []wireEntity, *refusal) {
	if len(text) > maxTextBytes {
		return "", nil, badRequest("text is too long")
	}
	switch strings.ToLower(parseMode) {
	case "", "none", "markdown", "markdownv2", "html":
	default:
		return "", nil, badRequest("unsupported parse_mode")
	}
	trimmed := strings.TrimSpace(text)
	if parseMode != "" || entities == "" {
		return trimmed, nil, nil
	}
	var list []json.RawMessage
	if json.Unmarshal([]byte(entities), &list) != nil {
		return trimmed, nil, nil
	}
	before := utf16Len(text[:len(text)-len(strings.TrimLeft(text, " \t\n\v\f\r"))])
	length := utf16Len(trimmed)
	var out []wireEntity
	for _, raw := range list {
		e, ok, words := readEntity(raw)
		if words != "" {
			return "", nil, badRequest("can't parse MessageEntity: " + words)
		}
		from, to := max(e.Offset-before, 0), min(e.Offset-before+e.Length, length)
		if !ok || e.Offset < 0 || e.Length <= 0 || from >= to {
			continue
		}
		if e.User != nil {
			who := b.t.stranger(e.User.ID).user
			e.User = &who
		}
		e.Offset, e.Length = from, to-from
		out = append(out, e)
	}
	return trimmed, out, nil
}

// readEntity reads a MessageEntity. It yields false for those that Telegram finds
// by itself, and words for those that it refuses.
func readEntity(raw json.RawMessage) (e wireEntity, ok bool, words string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return e, false, "expected an Object"
	}
	for _, f := range []struct {
		name string
		into *int
	}{{"offset", &e.Offset}, {"length", &e.Length}} {
		n, refused := intField(fields, f.name)
		if refused != nil {
			return e, false, strings.TrimPrefix(refused.Words, "Bad Request: ")
		}
		*f.into = int(n)
	}
	if json.Unmarshal(fields["type"], &e.Type) != nil {
		return e, false, `can't find field "type"`
	}
	switch e.Type {
	case "bold", "italic", "underline", "strikethrough", "spoiler", "blockquote", "expandable_blockquote", "code":
		return e, true, ""
	case "pre":
		_ = json.Unmarshal(fields["language"], &e.Language)
		return e, true, ""
	case "text_link":
		if json.Unmarshal(fields["url"], &e.URL) != nil {
			return e, false, `can't find field "url"`
		}
		// A link that is none marks up nothing.
		return e, strings.Contains(e.URL, ".") || strings.HasPrefix(e.URL, "tg://"), ""
	case "text_mention":
		var user struct {
			ID json.RawMessage `json:"id"`
		}
		if json.Unmarshal(fields["user"], &user) != nil {
			return e, false, `can't find field "user"`
		}
		id, err := strconv.ParseInt(strings.Trim(string(user.ID), `"`), 10, 64)
		if err != nil {
			return e, false, `can't find field "id"`
		}
		e.User = &wireUser{ID: id}
		return e, id > 0, ""
	case "custom_emoji":
		id := strings.Trim(string(fields["custom_emoji_id"]), `"`)
		if _, err := strconv.ParseInt(id, 10, 64); err != nil {
			return e, false, `can't find field "custom_emoji_id"`
		}
		e.CustomEmojiID = id
		return e, true, ""
	case "mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "bank_card_number":
		return e, false, ""
	case "":
		return e, false, "type is not specified"
	}
	return e, false, "unsupported type specified"
}

// utf16Slice is a range of a text in UTF-16 units.
func utf16Slice(s string, offset, length int) string {
	units := utf16.Encode([]rune(s))
	offset = min(max(offset, 0), len(units))
	return string(utf16.Decode(units[offset:min(offset+max(length, 0), len(units))]))
}

// utf16Len counts as the Bot API does.
func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// toInteger reads a number as the Bot API server does: up to the first character
// that is no digit.
func toInteger(s string) int64 {
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && s[end] == '-') {
		end++
	}
	n, _ := strconv.ParseInt(s[:end], 10, 64) // nothing, or beyond: as if it were not there
	return n
}

func toBool(s string) bool {
	switch strings.ToLower(s) {
	case "true", "yes", "1":
		return true
	}
	return false
}
