package sandbox

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// telegramBot is one bot of the stand-in: its chats and its updates.
type telegramBot struct {
	t        *Telegram
	id       int64
	token    string
	user     wireUser
	messages atomic.Int64 // the last message id
	bucket   bucket

	threadsMu sync.RWMutex
	threads   map[int64]*thread
	accounts  map[string]*businessAccount // by connection

	mu      sync.Mutex
	next    int64     // the next update id
	pending []*queued // in order; those done are dropped once they lead
	waiting int       // how many of pending are not done
	wake    chan struct{}
	poll    chan *refusal // of the poll in progress: says why it must end
	allowed []string      // empty means all but the rare ones
	hook    webhook
	callIDs map[string]bool // callback queries not answered yet
}

// queued is an update that waits to be confirmed. Its fields but the last are fixed.
type queued struct {
	id   int64
	chat int64
	kind string
	body json.RawMessage
	done bool
	// forgotten and swapped are set once that befell it.
	forgotten, swapped bool
}

func (t *Telegram) newBot(account TelegramBot) (*telegramBot, error) {
	id, err := botID(account.Token)
	if err != nil {
		return nil, err
	}
	b := &telegramBot{
		t: t, id: id, token: account.Token,
		user:    wireUser{ID: id, IsBot: true, FirstName: account.Name, Username: account.Username},
		threads: map[int64]*thread{}, accounts: map[string]*businessAccount{},
		next:    max(t.opts.FirstUpdateID, t.lastIDs.update+1),
		wake:    make(chan struct{}),
		callIDs: map[string]bool{},
		hook:    webhook{chats: map[int64]*chatQueue{}},
	}
	b.messages.Store(max(t.opts.FirstMessageID-1, t.lastIDs.message))
	return b, nil
}

// push queues an update. Fill writes it once its id is known.
func (b *telegramBot) push(kind string, chat, messageID int64, text string, fill func(*wireUpdate)) error {
	return b.pushEntry(TelegramEntry{Chat: chat, MessageID: messageID, Kind: kind, Text: text}, fill)
}

// pushEntry queues an update of the kind that the entry names, and logs the
// entry.
func (b *telegramBot) pushEntry(entry TelegramEntry, fill func(*wireUpdate)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.wants(entry.Kind) {
		return nil
	}
	u := wireUpdate{UpdateID: b.next}
	fill(&u)
	body, err := json.Marshal(u)
	if err != nil {
		return err
	}
	b.next++
	entry.What, entry.Bot, entry.UpdateID = LogWrote, b.id, u.UpdateID
	b.t.log.add(entry)
	b.enqueue(&queued{id: u.UpdateID, chat: entry.Chat, kind: entry.Kind, body: body})
	return nil
}

// Inject queues an update of any shape for the first bot, garbage included. Its
// update_id is used where there is one, so that ids can jump as Telegram's do
// after a quiet week.
func (t *Telegram) Inject(body json.RawMessage) {
	var u struct {
		UpdateID int64 `json:"update_id"`
	}
	_ = json.Unmarshal(body, &u) // garbage has none
	b := t.first
	b.mu.Lock()
	defer b.mu.Unlock()
	if u.UpdateID > 0 {
		b.next = u.UpdateID
	}
	id := b.next
	b.next++
	t.log.add(TelegramEntry{What: LogWrote, Bot: b.id, UpdateID: id, Kind: "injected"})
	b.enqueue(&queued{id: id, kind: "injected", body: slices.Clone(body)})
}

// enqueue is called with mu held.
func (b *telegramBot) enqueue(u *queued) {
	b.pending = append(b.pending, u)
	b.waiting++
	b.hook.enqueue(u)
	if b.hook.url != "" {
		b.pump()
		return
	}
	close(b.wake)
	b.wake = make(chan struct{})
}

// finish confirms an update; mu is held.
func (b *telegramBot) finish(u *queued, via string) {
	if u.done {
		return
	}
	u.done = true
	b.waiting--
	b.t.log.add(TelegramEntry{What: LogConfirmed, Bot: b.id, Chat: u.chat, UpdateID: u.id, Kind: u.kind, Via: via})
	lead := 0
	for lead < len(b.pending) && b.pending[lead].done {
		b.pending[lead] = nil
		lead++
	}
	b.pending = b.pending[lead:]
}

// wants reports whether updates of a kind are made at all
// (https://core.telegram.org/bots/api#getupdates, allowed_updates); mu is held.
func (b *telegramBot) wants(kind string) bool {
	if len(b.allowed) > 0 {
		return slices.Contains(b.allowed, kind)
	}
	return kind != "message_reaction" && kind != "message_reaction_count" && kind != "chat_member"
}

// JumpUpdateIDs lets the first bot's updates continue at another id, as
// Telegram's do after a week without any. What was waiting is gone by then:
// Telegram keeps updates for a day (https://core.telegram.org/bots/api#getting-updates).
func (t *Telegram) JumpUpdateIDs(next int64) {
	t.first.mu.Lock()
	defer t.first.mu.Unlock()
	for _, u := range t.first.pending {
		u.done = true
	}
	t.first.pending, t.first.waiting = nil, 0
	t.first.next = next
}

func (b *telegramBot) getUpdates(r *http.Request, p params) (any, *refusal) {
	offset, limit, timeout := p.int("offset"), p.int("limit"), p.int("timeout")
	if limit <= 0 || limit > 100 {
		limit = 100
	}
	if plan := b.t.faults.Load(); plan.PollError > 0 && dice(b.t.opts.Seed, "poll", b.id, plan.polls.Add(1)) < plan.PollError {
		return nil, &refusal{Code: http.StatusBadGateway, Words: "Bad Gateway"}
	}
	b.mu.Lock()
	if b.hook.url != "" {
		b.mu.Unlock()
		return nil, conflict("can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first")
	}
	if refused := b.allow(p); refused != nil {
		b.mu.Unlock()
		return nil, refused
	}
	if b.poll != nil {
		b.t.log.add(TelegramEntry{What: LogConflict, Bot: b.id, Kind: "getUpdates", Code: http.StatusConflict})
		b.poll <- conflict("terminated by other getUpdates request; make sure that only one bot instance is running")
	}
	mine := make(chan *refusal, 1)
	b.poll = mine
	b.confirm(offset)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.poll == mine {
			b.poll = nil
		}
	}()

	expired := time.NewTimer(time.Duration(min(max(timeout, 0), 50)) * time.Second)
	defer expired.Stop()
	last := timeout <= 0
	for {
		b.mu.Lock()
		batch := b.batch(int(limit), max(-offset, 0))
		wake := b.wake
		b.mu.Unlock()
		if len(batch) > 0 || last {
			return batch, nil
		}
		select {
		case <-wake:
		case refused := <-mine:
			return nil, refused
		case <-expired.C:
			last = true
		case <-r.Context().Done():
			last = true
		case <-b.t.stop.Done():
			last = true
		}
	}
}

// confirm forgets what comes before an offset. An offset far beyond the next id
// is from before the ids jumped, and confirms nothing; mu is held.
func (b *telegramBot) confirm(offset int64) {
	if offset <= 0 || offset > b.next+10 {
		return
	}
	for _, u := range slices.Clone(b.pending) {
		if u.done || u.id >= offset {
			continue
		}
		if share := b.t.faults.Load().Forget; !u.forgotten && share > 0 && dice(b.t.opts.Seed, "forget", b.id, u.id) < share {
			u.forgotten = true
			continue
		}
		b.finish(u, "poll")
	}
}

// batch hands out updates, the last newest of them if newest is not 0; mu is
// held.
func (b *telegramBot) batch(limit int, newest int64) []json.RawMessage {
	batch := make([]json.RawMessage, 0, min(limit, b.waiting))
	skip := 0
	if newest > 0 {
		skip = max(b.waiting-int(newest), 0)
	}
	for _, u := range b.pending {
		if u.done {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		if len(batch) == limit {
			break
		}
		batch = append(batch, u.body)
		b.t.log.add(TelegramEntry{What: LogDelivered, Bot: b.id, Chat: u.chat, UpdateID: u.id, Kind: u.kind, Via: "poll"})
	}
	return batch
}

// allow takes allowed_updates, if given; mu is held.
func (b *telegramBot) allow(p params) *refusal {
	list := p.get("allowed_updates")
	if list == "" {
		return nil
	}
	var allowed []string
	if err := json.Unmarshal([]byte(list), &allowed); err != nil {
		return badRequest("can't parse allowed_updates JSON object")
	}
	b.allowed = allowed
	return nil
}

func conflict(words string) *refusal {
	return &refusal{Code: http.StatusConflict, Words: "Conflict: " + words}
}

// errBlocked says that a person who blocked the bot cannot write to it.
var errBlocked = errors.New("sandbox: the bot is blocked; unblock it first")

// bucket is a token bucket. Its rate is per second; 0 is no limit.
type bucket struct {
	mu     sync.Mutex
	tokens float64
	at     time.Time
}

// take yields 0 if a message may go, or how long to wait.
func (k *bucket) take(now time.Time, rate, burst float64) time.Duration {
	return k.takeAll(now, rate, burst, 1)
}

// takeAll is take of n messages at once. An album larger than a burst goes when
// the bucket is full, and leaves a debt.
func (k *bucket) takeAll(now time.Time, rate, burst float64, n int) time.Duration {
	if rate <= 0 {
		return 0
	}
	burst = max(burst, 1)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.at.IsZero() {
		k.tokens = burst
	} else {
		k.tokens = min(burst, k.tokens+now.Sub(k.at).Seconds()*rate)
	}
	k.at = now
	needed := min(float64(n), burst)
	if k.tokens >= needed {
		k.tokens -= float64(n)
		return 0
	}
	return time.Duration((needed - k.tokens) / rate * float64(time.Second))
}
