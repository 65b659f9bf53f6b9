package sandbox

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// businessAccount is somebody's account that a bot is connected to
// (https://core.telegram.org/bots/api#businessconnection).
type businessAccount struct {
	id       string
	bot      *telegramBot
	owner    *person
	since    int64
	messages atomic.Int64 // the last message id of the account's own numbering

	mu       sync.Mutex
	enabled  bool
	canReply bool
	threads  map[int64]*thread
}

// BusinessAccount is an account that a bot is connected to. Its methods do what
// its owner would do on their phone. The values are small and may be copied.
type BusinessAccount struct {
	t *Telegram
	a *businessAccount
}

// ConnectBusiness connects the person's account to the bot in front of them:
// people can write to it from then on, see [Person.At].
func (a Person) ConnectBusiness(canReply bool) (BusinessAccount, error) {
	now := a.t.opts.Now()
	n := a.t.groups.Add(1)
	account := &businessAccount{
		id:  "sandbox-" + strconv.FormatInt(a.p.user.ID, 36) + "_" + strconv.FormatInt(n, 10),
		bot: a.bot, owner: a.p, since: now.Unix(), enabled: true, canReply: canReply, threads: map[int64]*thread{},
	}
	a.bot.threadsMu.Lock()
	a.bot.accounts[account.id] = account
	a.bot.threadsMu.Unlock()
	b := BusinessAccount{t: a.t, a: account}
	return b, b.tell()
}

// ID is the connection's.
func (b BusinessAccount) ID() string { return b.a.id }

// AllowReplies gives the bot the right to write, or takes it away.
func (b BusinessAccount) AllowReplies(allowed bool) error {
	b.a.mu.Lock()
	b.a.canReply = allowed
	b.a.mu.Unlock()
	return b.tell()
}

// Disconnect ends the connection.
func (b BusinessAccount) Disconnect() error {
	b.a.mu.Lock()
	b.a.enabled = false
	b.a.mu.Unlock()
	return b.tell()
}

// Say lets the owner write to somebody from their own phone.
func (b BusinessAccount) Say(to Person, text string) (int64, error) {
	return b.Post(to, Post{Text: text})
}

// Post lets the owner send anything to somebody.
func (b BusinessAccount) Post(to Person, post Post) (int64, error) {
	m, kind, err := b.t.compose(b.a.owner, post)
	if err != nil {
		return 0, err
	}
	m.From, m.Chat = &b.a.owner.user, to.p.chat()
	return to.At(b).post(m, kind, post)
}

// Edit lets the owner change what they wrote.
func (b BusinessAccount) Edit(to Person, messageID int64, text string) error {
	return to.At(b).edit(messageID, b.a.owner.user.ID, text, func(m *wireMessage) error {
		m.Text, m.Entities = text, nil
		return nil
	})
}

// At is the same person in front of a business account instead of its bot.
func (a Person) At(b BusinessAccount) Person {
	a.bot, a.account = b.a.bot, b.a
	return a
}

// Delete deletes messages of a business account's chat. Bots are told of such
// deletions only.
func (a Person) Delete(messageIDs ...int64) error {
	if a.account == nil {
		return errors.New("sandbox: bots are not told what people delete")
	}
	th := a.thread()
	th.mu.Lock()
	defer th.mu.Unlock()
	for _, id := range messageIDs {
		i := th.find(id)
		if i < 0 {
			return ErrNoMessage
		}
		th.messages[i].deleted = true
	}
	return a.account.push("deleted_business_messages", a.p, 0, "", func(u *wireUpdate) {
		u.BusinessDeleted = &wireDeleted{Connection: a.account.id, Chat: a.p.chat(), MessageIDs: messageIDs}
	})
}

// tell makes the update about the connection's state.
func (b BusinessAccount) tell() error {
	shown := b.a.wire()
	return b.a.bot.push("business_connection", b.a.owner.user.ID, 0, shown.ID, func(u *wireUpdate) { u.Business = &shown })
}

func (a *businessAccount) wire() wireBusiness {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := wireBusiness{
		ID: a.id, User: a.owner.user, UserChatID: a.owner.user.ID, Date: a.since, IsEnabled: a.enabled, CanReply: a.canReply,
		Rights: map[string]any{"can_read_messages": true},
	}
	if a.canReply {
		w.Rights["can_reply"] = true
	}
	return w
}

func (a *businessAccount) push(kind string, about *person, messageID int64, text string, fill func(*wireUpdate)) error {
	a.mu.Lock()
	enabled := a.enabled
	a.mu.Unlock()
	if !enabled {
		return nil // the bot hears nothing of it
	}
	return a.bot.pushEntry(TelegramEntry{Chat: about.user.ID, Connection: a.id, MessageID: messageID, Kind: kind, Text: text}, fill)
}

func (a *businessAccount) thread(p *person) *thread {
	a.mu.Lock()
	defer a.mu.Unlock()
	th := a.threads[p.user.ID]
	if th == nil {
		th = &thread{person: p, account: a}
		a.threads[p.user.ID] = th
	}
	return th
}

// businessWindow is how long after a person's last message a bot may write to
// them in a business account's name
// (https://core.telegram.org/api/bots/connected-business-bots).
const businessWindow = 24 * time.Hour

// reachableAs finds the chat of a business account that a bot may write to, or
// act in.
func (b *telegramBot) reachableAs(connection, chatID string) (*thread, *refusal) {
	id, refused := strictChat(chatID)
	if refused != nil {
		return nil, refused
	}
	b.threadsMu.RLock()
	account := b.accounts[connection]
	b.threadsMu.RUnlock()
	if account == nil {
		return nil, badRequest("business connection not found")
	}
	account.mu.Lock()
	enabled, canReply, th := account.enabled, account.canReply, account.threads[id]
	account.mu.Unlock()
	switch {
	case !enabled:
		return nil, badRequest("business connection not found")
	case !canReply || th == nil:
		return nil, badRequest("BUSINESS_PEER_INVALID")
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	if b.t.opts.Now().Sub(th.wrote) > businessWindow {
		return nil, badRequest("BUSINESS_PEER_USAGE_MISSING")
	}
	return th, nil
}

// strictChat reads the chat id of a business account's method, which is read
// more strictly than others.
func strictChat(chatID string) (int64, *refusal) {
	if chatID == "" {
		return 0, badRequest("chat identifier is empty")
	}
	id, err := strconv.ParseInt(chatID, 10, 64)
	if err != nil {
		return 0, badRequest("chat identifier must be a valid Integer")
	}
	return id, nil
}

func (b *telegramBot) businessConnection(id string) (any, *refusal) {
	b.threadsMu.RLock()
	defer b.threadsMu.RUnlock()
	account := b.accounts[id]
	if account == nil {
		return nil, &refusal{Code: http.StatusBadRequest, Words: "Bad Request: business connection not found"}
	}
	return account.wire(), nil
}
