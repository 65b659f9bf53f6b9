package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// webhook is where a bot's updates are pushed to. The bot's mu guards it.
type webhook struct {
	url, secret string
	connections int
	inflight    int
	chats       map[int64]*chatQueue
	ready       []*chatQueue // have something to deliver and nothing under way
	errorAt     time.Time
	errorWords  string
}

// chatQueue holds one chat's updates, delivered one at a time.
type chatQueue struct {
	updates []*queued
	busy    bool // in ready, under way, or pausing after a failure
	fails   int
}

func (h *webhook) enqueue(u *queued) {
	q := h.chats[u.chat]
	if q == nil {
		q = &chatQueue{}
		h.chats[u.chat] = q
	}
	q.trim()
	q.updates = append(q.updates, u)
	if !q.busy {
		q.busy = true
		h.ready = append(h.ready, q)
	}
}

func (q *chatQueue) trim() {
	for len(q.updates) > 0 && q.updates[0].done {
		q.updates = q.updates[1:]
	}
}

// pump starts as many deliveries as there may be; the bot's mu is held.
func (b *telegramBot) pump() {
	h := &b.hook
	for h.url != "" && h.inflight < h.connections && len(h.ready) > 0 && b.t.stop.Err() == nil {
		q := h.ready[0]
		h.ready = h.ready[1:]
		if q.trim(); len(q.updates) == 0 {
			q.busy = false
			continue
		}
		h.inflight++
		b.reorder(q)
		u, to, secret := q.updates[0], h.url, h.secret
		b.t.work.Go(func() { b.deliver(q, u, to, secret) })
	}
}

// reorder lets the next update overtake the first, if the faults want it; mu is
// held.
func (b *telegramBot) reorder(q *chatQueue) {
	share := b.t.faults.Load().Reorder
	if share <= 0 || len(q.updates) < 2 || q.fails > 0 {
		return
	}
	first, second := q.updates[0], q.updates[1]
	if first.swapped || second.done || dice(b.t.opts.Seed, "reorder", b.id, first.id) >= share {
		return
	}
	first.swapped, second.swapped = true, true
	q.updates[0], q.updates[1] = second, first
}

func (b *telegramBot) deliver(q *chatQueue, u *queued, to, secret string) {
	plan := b.t.faults.Load()
	if wait := time.Duration(plan.UpdateDelayMS) * time.Millisecond; wait > 0 {
		b.t.rest(wait)
	}
	words := b.deliverCopies(u, to, secret, max(plan.Copies, 1))
	if words == "" && plan.Redeliver > 0 && dice(b.t.opts.Seed, "redeliver", b.id, u.id) < plan.Redeliver {
		_ = b.deliverCopies(u, to, secret, 1) // whatever it answers, it answered 2xx before
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hook.inflight--
	if words == "" {
		q.fails = 0
		b.finish(u, "webhook")
	} else {
		q.fails++
		b.hook.errorAt, b.hook.errorWords = b.t.opts.Now(), words
	}
	if words == "" || b.t.stop.Err() != nil {
		b.hook.ready = append(b.hook.ready, q)
		b.pump()
		return
	}
	pause := b.t.opts.WebhookRetry << min(q.fails-1, 6)
	time.AfterFunc(min(pause, 60*b.t.opts.WebhookRetry), func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.hook.ready = append(b.hook.ready, q)
		b.pump()
	})
	b.pump()
}

// rest waits, unless the stand-in is closed.
func (t *Telegram) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.stop.Done():
	}
}

// deliverCopies makes n requests at once, and yields the words of a failure
// unless one of them succeeded.
func (b *telegramBot) deliverCopies(u *queued, to, secret string, n int) string {
	if n == 1 {
		return b.deliverOnce(u, to, secret)
	}
	var (
		wg    sync.WaitGroup
		words = make([]string, n)
	)
	for i := range n {
		wg.Go(func() { words[i] = b.deliverOnce(u, to, secret) })
	}
	wg.Wait()
	for _, w := range words {
		if w == "" {
			return ""
		}
	}
	return words[0]
}

// deliverOnce yields the words of getWebhookInfo's last_error_message, or
// nothing on success.
func (b *telegramBot) deliverOnce(u *queued, to, secret string) string {
	entry := TelegramEntry{What: LogDelivered, Bot: b.id, Chat: u.chat, UpdateID: u.id, Kind: u.kind, Via: "webhook"}
	defer func() { b.t.log.add(entry) }()
	req, err := http.NewRequestWithContext(b.t.stop, http.MethodPost, to, bytes.NewReader(u.body))
	if err != nil {
		return "Bad webhook URL"
	}
	req.Header.Set("Content-Type", "application/json")
	if secret != "" {
		req.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret)
	}
	resp, err := b.t.opts.HTTPClient.Do(req)
	if err != nil {
		return "Connection failed"
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	_ = resp.Body.Close()
	entry.Code = resp.StatusCode
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Sprintf("Wrong response from the webhook: %s", resp.Status)
	}
	if err != nil {
		return "Read timeout expired"
	}
	b.answered(answer)
	return ""
}

// answered runs the method that a webhook may answer with; its result is known
// to nobody (https://core.telegram.org/bots/api#making-requests-when-getting-updates).
func (b *telegramBot) answered(body []byte) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return
	}
	p := jsonParams(fields)
	if method := p.get("method"); method != "" {
		_, _ = b.call(method, p)
	}
}

// secretToken is what secret_token may hold
// (https://core.telegram.org/bots/api#setwebhook).
var secretToken = regexp.MustCompile(`^[A-Za-z0-9_-]{0,256}$`)

// setWebhook takes http URLs too, as Bot API servers of one's own do with
// --local.
func (b *telegramBot) setWebhook(p params) (any, string, *refusal) {
	to := p.get("url")
	if to == "" {
		return b.deleteWebhook(p)
	}
	if u, err := url.Parse(to); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, "", badRequest("bad webhook: An HTTPS URL must be provided for webhook")
	}
	secret := p.get("secret_token")
	if !secretToken.MatchString(secret) {
		return nil, "", badRequest("secret token contains unallowed characters")
	}
	connections := 40
	if s := p.get("max_connections"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 100 {
			return nil, "", badRequest("max_connections must be 1 to 100")
		}
		connections = n
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if refused := b.allow(p); refused != nil {
		return nil, "", refused
	}
	words := "Webhook was set"
	if b.hook.url == to {
		words = "Webhook is already set"
	}
	b.hook.url, b.hook.secret, b.hook.connections = to, secret, connections
	b.hook.errorAt, b.hook.errorWords = time.Time{}, ""
	b.endPoll("terminated by setWebhook request")
	b.drop(p)
	b.pump()
	return true, words, nil
}

func (b *telegramBot) deleteWebhook(p params) (any, string, *refusal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	words := "Webhook was deleted"
	if b.hook.url == "" {
		words = "Webhook is already deleted"
	}
	b.hook.url, b.hook.secret = "", ""
	b.hook.errorAt, b.hook.errorWords = time.Time{}, ""
	b.drop(p)
	return true, words, nil
}

// endPoll is called with mu held.
func (b *telegramBot) endPoll(words string) {
	if b.poll != nil {
		b.poll <- conflict(words)
		b.poll = nil
	}
}

// drop forgets what is pending when asked to; mu is held.
func (b *telegramBot) drop(p params) {
	if p.get("drop_pending_updates") == "true" {
		b.confirm(b.next)
	}
}

func (b *telegramBot) webhookInfo() any {
	b.mu.Lock()
	defer b.mu.Unlock()
	info := wireWebhookInfo{URL: b.hook.url, PendingUpdateCount: b.waiting, AllowedUpdates: b.allowed}
	if b.hook.url != "" {
		info.MaxConnections = b.hook.connections
	}
	if !b.hook.errorAt.IsZero() {
		info.LastErrorDate, info.LastErrorMessage = b.hook.errorAt.Unix(), b.hook.errorWords
	}
	return info
}
