package telegram

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"parley/events"
)

// other is a message of none of the common kinds: one that can be told in words,
// or one of which only the name is shown.
func (p *parser) other(c *events.Content, field string) {
	c.Type = events.Unsupported
	var u map[string]json.RawMessage
	if json.Unmarshal(p.raw, &u) != nil {
		c.Unsupported = field
		return
	}
	names := contentNames(u[field])
	if len(names) > 0 {
		var held map[string]json.RawMessage
		if json.Unmarshal(u[field], &held) == nil && (p.rare(c, names[0], held[names[0]]) || p.service(c, names[0], held[names[0]])) {
			return
		}
	}
	c.Unsupported = firstOf(strings.Join(names, ", "), field)
}

// contentNames are a message's fields that say what it holds, in their order,
// three at most.
func contentNames(object json.RawMessage) []string {
	var names []string
	dec := json.NewDecoder(bytes.NewReader(object))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	for dec.More() && len(names) < 3 {
		name, err := dec.Token()
		if err != nil {
			return names
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return names
		}
		if s, ok := name.(string); ok && !envelopeField(s) {
			names = append(names, shortName(s))
		}
	}
	return names
}

// envelopeField reports whether a field of a message is about it rather than
// its content.
func envelopeField(name string) bool {
	switch name {
	case "message_id", "message_thread_id", "direct_messages_topic", "from", "sender_chat", "sender_boost_count",
		"sender_business_bot", "sender_tag", "date", "business_connection_id", "chat", "forward_origin", "is_topic_message",
		"is_automatic_forward", "reply_to_message", "external_reply", "quote", "reply_to_story",
		"reply_to_checklist_task_id", "reply_to_poll_option_id", "guest_query_id", "via_bot", "edit_date", "has_protected_content", "is_from_offline",
		"is_paid_post", "media_group_id", "author_signature", "paid_star_count", "text", "entities",
		"link_preview_options", "suggested_post_info", "effect_id", "caption", "caption_entities",
		"show_caption_above_media", "has_media_spoiler", "reply_markup",
		// Before Bot API 7.0 forwards were described by these.
		"forward_from", "forward_from_chat", "forward_from_message_id", "forward_signature",
		"forward_sender_name", "forward_date":
		return true
	}
	return false
}

// shortName keeps a made-up field name from becoming a wall of text.
func shortName(name string) string {
	name = strings.ReplaceAll(name, "\x00", "\uFFFD")
	if r := []rune(name); len(r) > 64 {
		return string(r[:64])
	}
	return name
}

// unknownUpdate is an update of a kind that is not read here. It is shown in its
// person's chat, if it names one.
func (p *parser) unknownUpdate() {
	var fields map[string]json.RawMessage
	if json.Unmarshal(p.raw, &fields) != nil {
		p.unsupported("unreadable update")
		return
	}
	// An update has one field besides its id; of more, the first by name.
	name := ""
	for field := range fields {
		if field != "update_id" && (name == "" || field < name) {
			name = field
		}
	}
	if name == "" {
		p.unsupported("empty update")
		return
	}
	switch name {
	case "poll", "message_reaction_count", "chat_boost", "removed_chat_boost":
		// By their nature about no person.
		p.ignored(reasonNobody)
		return
	}
	var any anyUpdate
	_ = json.Unmarshal(fields[name], &any) // what cannot be read stays empty
	var in chat
	if any.Chat != nil {
		in = *any.Chat
	}
	from := any.From
	if from == nil {
		from = any.User
	}
	if from != nil || in.private() {
		p.person(from, in)
	}
	if date, err := strconv.ParseInt(string(any.Date), 10, 64); err == nil {
		p.ev.ProviderTime = unix(date)
	}
	if p.refuses(in) {
		return
	}
	if !p.broken {
		p.note("update of a kind that is not known yet")
	}
	p.unsupported(shortName(name))
}
