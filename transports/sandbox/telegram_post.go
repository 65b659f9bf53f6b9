package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Post is something a person sends. At most one of File, Location, Contact,
// Poll, Dice and Story is set; Text is a file's caption.
type Post struct {
	Text string
	// Marks mark up Text.
	Marks []Mark
	// Kind of File: "photo", "document", "voice", "video", "audio", "animation",
	// "video_note" or "sticker".
	Kind string
	File *File
	// Location is latitude and longitude. It follows the person for Live seconds,
	// and is a place if it has a Venue: title, address.
	Location *[2]float64
	Live     int
	Venue    *[2]string
	// OwnContact shares the person's own phone number.
	OwnContact bool
	// Contact is somebody else's card: phone, first name.
	Contact *[2]string
	// Poll is a question and its answers.
	Poll []string
	// Dice is the emoji that is thrown.
	Dice string
	// Story shares the story of that id.
	Story int64
	// ReplyTo is the id of the message answered, 0 for none; Quote what of it.
	ReplyTo int64
	Quote   string
	// ForwardFrom is who wrote it first.
	ForwardFrom string
	// Group makes posts of the same group an album.
	Group string
	// Topic is the thread to write into; it is opened with the first message.
	Topic int64
}

// Mark marks up a range of a text, in UTF-16 units, as a MessageEntity does.
type Mark struct {
	Type   string `json:"type"`
	Offset int    `json:"offset"`
	Length int    `json:"length"`
	URL    string `json:"url,omitempty"`
}

// Say writes a text and yields its message id.
func (a Person) Say(text string) (int64, error) { return a.Post(Post{Text: text}) }

// PostAlbum sends several posts as one album and yields their message ids. They
// are updates of their own, as at Telegram.
func (a Person) PostAlbum(posts ...Post) ([]int64, error) {
	if len(posts) < 2 || len(posts) > maxAlbum {
		return nil, fmt.Errorf("sandbox: an album has 2 to %d files", maxAlbum)
	}
	group := strconv.FormatInt(a.t.groups.Add(1)+13_000_000_000, 10)
	ids := make([]int64, 0, len(posts))
	for _, post := range posts {
		post.Group = group
		id, err := a.Post(post)
		if err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Post sends anything and yields its message id.
func (a Person) Post(post Post) (int64, error) {
	m, kind, err := a.t.compose(a.p, post)
	if err != nil {
		return 0, err
	}
	m.From, m.Chat = &a.p.user, a.p.chat()
	return a.post(m, kind, post)
}

// post puts a message into the thread, and makes the update of it.
func (a Person) post(m *wireMessage, kind string, post Post) (int64, error) {
	th := a.thread()
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.blocked {
		return 0, errBlocked
	}
	if m.From.ID == a.p.user.ID {
		th.open, th.wrote = true, a.t.opts.Now()
	}
	if post.ReplyTo != 0 {
		i := th.find(post.ReplyTo)
		if i < 0 {
			return 0, ErrNoMessage
		}
		m.ReplyTo = th.messages[i].reply()
		if post.Quote != "" {
			at := strings.Index(th.messages[i].text, post.Quote)
			if at < 0 {
				return 0, errors.New("sandbox: the quote is not of that message")
			}
			m.Quote = &wireQuote{Text: post.Quote, Position: utf16Len(th.messages[i].text[:at]), IsManual: true}
		}
	}
	if post.Topic != 0 {
		m.ThreadID, m.IsTopic = post.Topic, true
		if th.topics == nil {
			th.topics = map[int64]bool{}
		}
		th.topics[post.Topic] = true
	}
	m.MessageID = th.nextID(a.bot)
	th.messages = append(th.messages, said{kind: kind, message: m, text: post.Text})
	if a.account != nil {
		m.Connection = a.account.id
		return m.MessageID, a.account.push("business_message", a.p, m.MessageID, post.Text, func(u *wireUpdate) { u.BusinessMessage = m })
	}
	return m.MessageID, a.bot.push("message", a.p.user.ID, m.MessageID, post.Text, func(u *wireUpdate) { u.Message = m })
}

// nextID numbers messages: those of a bot's chats in one row, those of a
// business account in its own. The thread's mu is held.
func (th *thread) nextID(bot *telegramBot) int64 {
	if th.account != nil {
		return th.account.messages.Add(1)
	}
	return bot.messages.Add(1)
}

// compose makes a message of a post, without whose it is.
func (t *Telegram) compose(who *person, post Post) (*wireMessage, string, error) {
	m := &wireMessage{Date: t.opts.Now().Unix(), GroupID: post.Group}
	if post.ForwardFrom != "" {
		m.Forward = &wireOrigin{Type: "hidden_user", Name: post.ForwardFrom, Date: m.Date}
	}
	marks := make([]wireEntity, 0, len(post.Marks))
	for _, e := range post.Marks {
		marks = append(marks, wireEntity{Type: e.Type, Offset: e.Offset, Length: e.Length, URL: e.URL})
	}
	kind := "text"
	switch {
	case post.File != nil:
		kind = post.Kind
		if !slices.Contains([]string{"photo", "document", "voice", "video", "audio", "animation", "video_note", "sticker"}, kind) {
			return nil, "", fmt.Errorf("sandbox: no file is a %q", kind)
		}
		m.attach(kind, t.files.store(*post.File, kind))
		m.Caption, m.CaptionEntities = post.Text, marks
	case post.Location != nil:
		kind = "location"
		m.Location = &wireLocation{Latitude: post.Location[0], Longitude: post.Location[1], LivePeriod: post.Live}
		if post.Venue != nil {
			kind = "venue"
			m.Venue = &wireVenue{Location: *m.Location, Title: post.Venue[0], Address: post.Venue[1]}
		}
	case post.OwnContact:
		kind = "contact"
		m.Contact = &wireContact{
			PhoneNumber: who.phone, FirstName: who.user.FirstName, LastName: who.user.LastName, UserID: who.user.ID,
		}
	case post.Contact != nil:
		kind = "contact"
		m.Contact = &wireContact{PhoneNumber: post.Contact[0], FirstName: post.Contact[1]}
	case len(post.Poll) > 0:
		kind = "poll"
		m.Poll = &wirePoll{ID: strconv.FormatInt(t.groups.Add(1), 10), Question: post.Poll[0], Options: []wireOption{}, Anonymous: true, Type: "regular"}
		for _, option := range post.Poll[1:] {
			m.Poll.Options = append(m.Poll.Options, wireOption{Text: option})
		}
	case post.Dice != "":
		kind = "dice"
		m.Dice = &wireDice{Emoji: post.Dice, Value: 4} // the same in every run
	case post.Story != 0:
		kind = "story"
		m.Story = &wireStory{Chat: who.chat(), ID: post.Story}
	case strings.TrimSpace(post.Text) == "":
		return nil, "", errors.New("sandbox: nothing to say")
	default:
		m.Text, m.Entities = post.Text, marks
	}
	return m, kind, nil
}

// Edit changes the text or the caption of one of the person's own messages.
func (a Person) Edit(messageID int64, text string) error {
	return a.edit(messageID, a.p.user.ID, text, func(m *wireMessage) error {
		if m.Text != "" {
			m.Text, m.Entities = text, nil
		} else {
			m.Caption, m.CaptionEntities = text, nil
		}
		return nil
	})
}

// EditFile replaces the file of one of the person's own messages.
func (a Person) EditFile(messageID int64, kind string, f File) error {
	return a.edit(messageID, a.p.user.ID, "", func(m *wireMessage) error {
		if m.Text != "" {
			return errors.New("sandbox: that message has no file")
		}
		m.Animation, m.Audio, m.Document, m.Photo, m.Video = nil, nil, nil, nil, nil
		m.attach(kind, a.t.files.store(f, kind))
		return nil
	})
}

// Move moves a live location; it ends when live is false.
func (a Person) Move(messageID int64, latitude, longitude float64, live bool) error {
	return a.edit(messageID, a.p.user.ID, "", func(m *wireMessage) error {
		if m.Location == nil || m.Location.LivePeriod == 0 {
			return errors.New("sandbox: that message is no live location")
		}
		at := &wireLocation{Latitude: latitude, Longitude: longitude}
		if live {
			at.LivePeriod = m.Location.LivePeriod
		}
		m.Location = at
		return nil
	})
}

// edit changes a message that author wrote, and makes the update of it.
func (a Person) edit(messageID, author int64, text string, change func(*wireMessage) error) error {
	return a.change(messageID, func(s *said) error {
		if s.fromBot || s.message.From.ID != author {
			return errors.New("sandbox: somebody else wrote that message")
		}
		edited := *s.message
		edited.EditDate = a.t.opts.Now().Unix()
		if err := change(&edited); err != nil {
			return err
		}
		s.message = &edited
		if text != "" {
			s.text = text
		}
		if a.account != nil {
			return a.account.push("edited_business_message", a.p, messageID, text, func(u *wireUpdate) { u.BusinessEdited = &edited })
		}
		return a.bot.push("edited_message", a.p.user.ID, messageID, text, func(u *wireUpdate) { u.Edited = &edited })
	})
}
