package telegram

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"parley/events"
	"parley/transports"
)

// outEntity is a MessageEntity as it is sent
// (https://core.telegram.org/bots/api#messageentity).
type outEntity struct {
	Type   string `json:"type"`
	Offset int    `json:"offset"`
	Length int    `json:"length"`
	URL    string `json:"url,omitempty"`
	User   *struct {
		ID int64 `json:"id"`
	} `json:"user,omitempty"`
	CustomEmojiID string `json:"custom_emoji_id,omitempty"`
}

// maxEntities is how many entities a message has at most; Telegram leaves out
// the rest itself (https://core.telegram.org/bots/api#formatting-options, "at
// most 100 message entities").
const maxEntities = 100

// outEntities are what marks up a text, as the Bot API takes it. What Telegram
// finds by itself (links, mentions, hashtags), what it would refuse, and what
// does not lie within the text is left out: an unmarked word is better than a
// message that does not leave.
func outEntities(text string, in []events.Entity) []outEntity {
	if len(in) == 0 {
		return nil
	}
	length := transports.UTF16Units.Count(text)
	out := make([]outEntity, 0, min(len(in), maxEntities))
	for _, e := range in {
		if e.Offset < 0 || e.Length <= 0 || e.Offset > length || e.Length > length-e.Offset {
			continue
		}
		if one, ok := sendable(e); ok && len(out) < maxEntities {
			out = append(out, one)
		}
	}
	return out
}

func sendable(e events.Entity) (outEntity, bool) {
	out := outEntity{Type: e.Type, Offset: e.Offset, Length: e.Length}
	switch e.Type {
	case "bold", "italic", "underline", "strikethrough", "spoiler", "blockquote", "expandable_blockquote", "code", "pre":
		return out, true
	case "text_link":
		out.URL = e.URL
		return out, e.URL != ""
	case "text_mention":
		id, err := strconv.ParseInt(strings.TrimPrefix(e.URL, userLink), 10, 64)
		out.User = &struct {
			ID int64 `json:"id"`
		}{id}
		return out, err == nil && id > 0
	case "custom_emoji":
		id, ok := strings.CutPrefix(e.URL, emojiLink)
		_, err := strconv.ParseInt(id, 10, 64)
		out.CustomEmojiID = id
		return out, ok && err == nil
	}
	return out, false
}

// addEntities adds entities to parameters under a name, if there are any.
func addEntities(params map[string]string, name, text string, entities []events.Entity) {
	out := outEntities(text, entities)
	if len(out) == 0 {
		return
	}
	if encoded, err := json.Marshal(slices.Clip(out)); err == nil {
		params[name] = string(encoded)
	}
}
