package sandbox

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
)

// person is somebody with Telegram on their phone. Its fields are fixed.
type person struct {
	name  string // how the stand-in's users call them: "anna"
	user  wireUser
	phone string
}

// PersonOptions describe a person; what is empty is made up from the name.
type PersonOptions struct {
	ID                            int64
	FirstName, LastName, Username string
	Language                      string
	// Phone is what they share as their own contact, without a plus as Telegram
	// writes it.
	Phone string
}

// Person is somebody who writes to one bot. Its methods do what they would do on
// their phone; each makes the update that Telegram would make. The values are
// small and may be copied.
type Person struct {
	t   *Telegram
	p   *person
	bot *telegramBot
	// account is the business account written to, nil for the bot itself.
	account *businessAccount
}

// thread is what one person and one bot, or the business account that it is
// connected to, wrote to each other.
type thread struct {
	person  *person
	account *businessAccount // nil for the bot's own
	sends   atomic.Int64     // tried, for the faults' dice
	bucket  bucket

	mu       sync.Mutex
	messages []said // by rising message id
	open     bool   // the person wrote, so that the bot may
	blocked  bool
	migrated int64
	topics   map[int64]bool
	wrote    time.Time // when the person did last
}

// said is one message of a thread. The message itself is never changed, only
// replaced.
type said struct {
	message     *wireMessage
	kind, text  string
	fromBot     bool
	reaction    []string // the person's
	botReaction []string
	deleted     bool
}

// ErrNoMessage says that a thread has no message with that id.
var ErrNoMessage = errors.New("sandbox: no such message")

// Person finds somebody by name, or introduces them. The same name is the same
// user id in every run with the same seed.
func (t *Telegram) Person(name string) Person {
	return t.AddPerson(name, PersonOptions{})
}

// AddPerson introduces somebody. A name that is known already stays who it is.
func (t *Telegram) AddPerson(name string, o PersonOptions) Person {
	name = strings.ToLower(strings.TrimSpace(name))
	t.peopleMu.Lock()
	defer t.peopleMu.Unlock()
	p := t.byName[name]
	if p == nil {
		if o.ID == 0 {
			for o.ID = t.personID(name); t.people[o.ID] != nil; o.ID++ {
			}
		}
		if o.FirstName == "" {
			first, size := utf8.DecodeRuneInString(name)
			o.FirstName = string(unicode.ToUpper(first)) + name[size:]
		}
		if o.Language == "" {
			o.Language = "en"
		}
		if o.Phone == "" {
			o.Phone = "4915" + strconv.FormatInt(100_000_000+o.ID%900_000_000, 10)
		}
		p = &person{name: name, phone: o.Phone, user: wireUser{
			ID: o.ID, FirstName: o.FirstName, LastName: o.LastName, Username: o.Username, LanguageCode: o.Language,
		}}
		t.byName[name] = p
		t.people[o.ID] = p
	}
	return Person{t: t, p: p, bot: t.first}
}

// stranger is a person known by id only.
func (t *Telegram) stranger(id int64) *person {
	t.peopleMu.Lock()
	defer t.peopleMu.Unlock()
	p := t.people[id]
	if p == nil {
		name := "user " + strconv.FormatInt(id, 10)
		p = &person{name: name, user: wireUser{ID: id, FirstName: "User " + strconv.FormatInt(id, 10)}}
		t.people[id] = p
		t.byName[name] = p
	}
	return p
}

// With is the same person in front of another bot.
func (a Person) With(token string) (Person, error) {
	bot := a.t.bots[token]
	if bot == nil {
		return Person{}, errors.New("sandbox: no bot has this token")
	}
	a.bot, a.account = bot, nil
	return a, nil
}

// ID is the person's user id, which is the private chat's too.
func (a Person) ID() int64 { return a.p.user.ID }

func (p *person) chat() wireChat {
	return wireChat{
		ID: p.user.ID, FirstName: p.user.FirstName, LastName: p.user.LastName, Username: p.user.Username, Type: "private",
	}
}

// thread finds or opens what a bot and a person have to say to each other.
func (b *telegramBot) thread(p *person) *thread {
	b.threadsMu.Lock()
	defer b.threadsMu.Unlock()
	th := b.threads[p.user.ID]
	if th == nil {
		th = &thread{person: p}
		b.threads[p.user.ID] = th
	}
	return th
}

// thread is the person's with whom they write to.
func (a Person) thread() *thread {
	if a.account != nil {
		return a.account.thread(a.p)
	}
	return a.bot.thread(a.p)
}

// find is called with mu held. It yields -1 if there is no such message.
func (th *thread) find(id int64) int {
	i, ok := slices.BinarySearchFunc(th.messages, id, func(m said, id int64) int {
		return int(m.message.MessageID - id)
	})
	if !ok || th.messages[i].deleted {
		return -1
	}
	return i
}

// reply is a message as a reply to it shows it: without what it answered itself.
func (s said) reply() *wireMessage {
	m := *s.message
	m.ReplyTo = nil
	return &m
}

// React sets the person's reactions to a message; none takes them back.
func (a Person) React(messageID int64, emoji ...string) error {
	if a.account != nil {
		return errors.New("sandbox: reactions in a business account's chats reach no bot")
	}
	return a.change(messageID, func(m *said) error {
		r := &wireReacted{
			Chat: a.p.chat(), MessageID: messageID, User: a.p.user, Date: a.t.opts.Now().Unix(),
			Old: reactions(m.reaction), New: reactions(emoji),
		}
		m.reaction = emoji
		return a.bot.push("message_reaction", a.p.user.ID, messageID, strings.Join(emoji, " "), func(u *wireUpdate) { u.Reaction = r })
	})
}

// Press presses a button under a message of the bot's.
func (a Person) Press(messageID int64, data string) error {
	return a.change(messageID, func(m *said) error {
		shown := m.message
		return a.bot.push("callback_query", a.p.user.ID, messageID, data, func(u *wireUpdate) {
			id := strconv.FormatInt(u.UpdateID<<8|a.p.user.ID&0xFF, 10)
			a.bot.callIDs[id] = true // push holds the bot's lock
			u.Callback = &wireCallback{
				ID: id, From: a.p.user, Message: shown, ChatInstance: strconv.FormatInt(a.p.user.ID, 10), Data: data,
			}
		})
	})
}

// Block blocks the bot.
func (a Person) Block() error { return a.setBlocked(true) }

// Unblock takes it back.
func (a Person) Unblock() error { return a.setBlocked(false) }

// MigrateTo gives the chat another id, as a group gets that becomes a
// supergroup: sends to the old one are refused with migrate_to_chat_id.
func (a Person) MigrateTo(id int64) {
	old := a.bot.thread(a.p)
	moved := *a.p
	moved.user.ID = id
	a.t.peopleMu.Lock()
	a.t.people[id] = &moved
	a.t.peopleMu.Unlock()
	th := a.bot.thread(&moved)
	th.mu.Lock()
	th.open = true
	th.mu.Unlock()
	old.mu.Lock()
	defer old.mu.Unlock()
	old.migrated = id
}

func (a Person) setBlocked(blocked bool) error {
	th := a.bot.thread(a.p)
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.blocked == blocked {
		return nil
	}
	th.blocked, th.open = blocked, true
	status := [2]string{"member", "kicked"}
	if !blocked {
		status = [2]string{"kicked", "member"}
	}
	return a.bot.push("my_chat_member", a.p.user.ID, 0, status[1], func(u *wireUpdate) {
		u.MyChatMember = &wireMember{
			Chat: a.p.chat(), From: a.p.user, Date: a.t.opts.Now().Unix(),
			Old: wireMembership{User: a.bot.user, Status: status[0]},
			New: wireMembership{User: a.bot.user, Status: status[1]},
		}
	})
}

func (a Person) change(messageID int64, do func(*said) error) error {
	th := a.thread()
	th.mu.Lock()
	defer th.mu.Unlock()
	i := th.find(messageID)
	if i < 0 {
		return ErrNoMessage
	}
	return do(&th.messages[i])
}

func reactions(emoji []string) []wireReaction {
	out := make([]wireReaction, 0, len(emoji))
	for _, e := range emoji {
		if id, ok := strings.CutPrefix(e, customEmoji); ok {
			out = append(out, wireReaction{Type: "custom_emoji", ID: id})
			continue
		}
		out = append(out, wireReaction{Type: "emoji", Emoji: e})
	}
	return out
}
