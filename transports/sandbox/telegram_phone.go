package sandbox

import (
	"time"
)

// PhoneMessage is a message as it shows on a person's phone.
type PhoneMessage struct {
	MessageID int64     `json:"message_id"`
	Time      time.Time `json:"time"`
	// FromBot is false for the person's own messages, and for those that a
	// business account's owner wrote.
	FromBot bool `json:"from_bot"`
	// FromOwner is true for those.
	FromOwner bool   `json:"from_owner,omitempty"`
	Kind      string `json:"kind"`
	Text      string `json:"text,omitempty"`
	// Marked are the pieces of the text that are marked up, by how: "bold:word".
	Marked []string `json:"marked,omitempty"`
	File   string   `json:"file,omitempty"`
	// FileID is what getFile knows the file by, photos' largest.
	FileID  string `json:"file_id,omitempty"`
	ReplyTo int64  `json:"reply_to,omitempty"`
	Edited  bool   `json:"edited,omitempty"`
	// Group is the album that it is shown in, Topic the thread.
	Group string `json:"group,omitempty"`
	Topic int64  `json:"topic,omitempty"`
	// Reactions are the person's, BotReactions the bot's.
	Reactions    []string `json:"reactions,omitempty"`
	BotReactions []string `json:"bot_reactions,omitempty"`
}

// Phone is what the person sees of their chat with the bot, or with the business
// account, oldest first.
func (a Person) Phone() []PhoneMessage {
	th := a.thread()
	th.mu.Lock()
	defer th.mu.Unlock()
	out := make([]PhoneMessage, 0, len(th.messages))
	for _, s := range th.messages {
		if s.deleted {
			continue
		}
		m := s.message
		shown := PhoneMessage{
			MessageID: m.MessageID, Time: time.Unix(m.Date, 0).UTC(), FromBot: s.fromBot, Kind: s.kind, Text: s.text,
			FromOwner: !s.fromBot && m.From.ID != a.p.user.ID,
			Edited:    m.EditDate != 0, Reactions: s.reaction, BotReactions: s.botReaction, Group: m.GroupID, Topic: m.ThreadID,
		}
		for _, f := range []*wireFile{m.Document, m.Voice, m.Video, m.Audio, m.Animation} {
			if f != nil {
				shown.File, shown.FileID = f.FileName, f.FileID
			}
		}
		if n := len(m.Photo); n > 0 {
			shown.FileID = m.Photo[n-1].FileID
		}
		if m.ReplyTo != nil {
			shown.ReplyTo = m.ReplyTo.MessageID
		}
		for _, e := range append(m.Entities, m.CaptionEntities...) {
			shown.Marked = append(shown.Marked, e.Type+":"+utf16Slice(s.text, e.Offset, e.Length))
		}
		out = append(out, shown)
	}
	return out
}
