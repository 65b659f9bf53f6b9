package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"parley/inbox"
	"parley/store"
	"parley/transports"
)

const (
	// webhooksAtOnce and webhooksEach bound the calls under way, in all and to one
	// webhook.
	webhooksAtOnce, webhooksEach = 32, 4
	// webhookHold is longer than a call may take.
	webhookHold = 3 * webhookTimeout
	// webhookPoll is how often it is looked for due deliveries and new webhooks.
	webhookPoll = 500 * time.Millisecond
	// webhookLog is how long what was told is kept.
	webhookLog = 14 * 24 * time.Hour
	// webhookPatience is after how long without anything accepted a webhook is
	// disabled, once a delivery ran out of tries.
	webhookPatience = 48 * time.Hour
)

// webhookWaits are the waits between tries: three days in all, as the scheme
// recommends.
func webhookWaits() []time.Duration {
	return []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 20 * time.Hour,
	}
}

// RunWebhooks tells webhooks of facts until ctx ends, in one process of all that run
// it. Owner names this process's life.
//
// Each webhook's place in the stream of facts moves in the transaction that queues
// what it is to be told, so nothing is lost or queued twice. Calls may be repeated,
// with the same webhook-id, after a crash.
func (d *Desk) RunWebhooks(ctx context.Context, owner string) {
	d.leased(ctx, "webhooks", owner, func(ctx context.Context) {
		var work sync.WaitGroup
		defer work.Wait()
		work.Go(func() { d.queueWebhooks(ctx) })
		work.Go(func() { d.callWebhooks(ctx) })
		for ctx.Err() == nil {
			if n, err := d.Store.SweepWebhooks(ctx, webhookLog); err != nil || n == 0 {
				pause(ctx, 10*time.Minute)
			}
		}
	})
}

// queueWebhooks follows the facts for each webhook.
func (d *Desk) queueWebhooks(ctx context.Context) {
	type running struct {
		is   store.LiveWebhook
		stop context.CancelFunc
		done chan struct{}
	}
	now := map[string]running{}
	defer func() {
		for _, r := range now {
			r.stop()
			<-r.done
		}
	}()
	for ctx.Err() == nil {
		live, err := d.Store.LiveWebhooks(ctx)
		if err != nil {
			if ctx.Err() == nil {
				d.log().WarnContext(ctx, "webhooks are not told of anything, trying again", "error", err)
			}
			pause(ctx, 5*time.Second)
			continue
		}
		wanted := map[string]bool{}
		for _, w := range live {
			wanted[w.ID] = true
			if r, runs := now[w.ID]; runs {
				select {
				case <-r.done: // it lost its place
				default:
					if slices.Equal(r.is.Types, w.Types) {
						continue
					}
				}
				r.stop()
				<-r.done
				delete(now, w.ID)
				continue // with its new place, next time
			}
			follow, stop := context.WithCancel(ctx)
			r := running{is: w, stop: stop, done: make(chan struct{})}
			now[w.ID] = r
			go func() {
				defer close(r.done)
				if err := d.queueWebhook(follow, w); err != nil && follow.Err() == nil {
					d.log().WarnContext(ctx, "a webhook is not told of anything, trying again", "webhook", w.ID, "error", err)
				}
			}()
		}
		for id, r := range now {
			if !wanted[id] {
				r.stop()
				<-r.done
				delete(now, id)
			}
		}
		pause(ctx, webhookPoll)
	}
}

// queueWebhook queues facts for one webhook until it is disabled, deleted or taken
// over.
func (d *Desk) queueWebhook(ctx context.Context, w store.LiveWebhook) error {
	place, moved := w.Place, time.Now()
	facts, err := d.Stream(ctx, StreamFrom{Tenant: w.Tenant, After: place})
	if errors.Is(err, ErrReset) {
		end, endErr := d.Bus.FactsEnd(ctx)
		if endErr != nil {
			return endErr
		}
		d.log().ErrorContext(ctx, "a webhook missed facts: they are no longer kept", "webhook", w.ID, "after", place)
		_, err := d.Store.QueueWebhookFacts(ctx, w.ID, place, end.String(), nil)
		return err
	}
	if err != nil {
		return err
	}
	defer facts.Close()
	for {
		wait, cancel := context.WithTimeout(ctx, time.Minute)
		list, err := facts.Next(wait)
		quiet := wait.Err() != nil
		cancel()
		if err != nil && (!quiet || ctx.Err() != nil) {
			return err
		}
		var told []store.WebhookFact
		for _, f := range list {
			typ := f.Fact.Noun + "." + f.Fact.Verb
			if len(w.Types) == 0 || slices.Contains(w.Types, typ) {
				told = append(told, store.WebhookFact{ID: f.Fact.ID, Chat: f.Fact.Chat, Type: typ, Body: string(f.JSON)})
			}
		}
		next := facts.Place()
		if len(list) > 0 {
			next = list[len(list)-1].Resume
		}
		if next == place || len(told) == 0 && time.Since(moved) < time.Minute {
			continue // the place moves with what is queued, and now and then
		}
		ok, err := d.Store.QueueWebhookFacts(ctx, w.ID, place, next, told)
		if err != nil || !ok {
			return err
		}
		place, moved = next, time.Now()
	}
}

// callWebhooks makes the calls that are due.
func (d *Desk) callWebhooks(ctx context.Context) {
	client := webhookClient(d.PrivateWebhooks)
	defer client.CloseIdleConnections()
	var calls sync.WaitGroup
	defer calls.Wait()
	var mu sync.Mutex
	under := map[string]int{} // calls under way, by webhook
	for ctx.Err() == nil {
		mu.Lock()
		free, busy := webhooksAtOnce, []string{}
		for id, n := range under {
			if free -= n; n >= webhooksEach {
				busy = append(busy, id)
			}
		}
		mu.Unlock()
		if free <= 0 {
			pause(ctx, webhookPoll/10)
			continue
		}
		due, err := d.Store.ClaimWebhooks(ctx, free, webhooksEach, busy, webhookHold)
		if err != nil && ctx.Err() == nil {
			d.log().WarnContext(ctx, "webhooks are not called, trying again", "error", err)
		}
		for _, w := range due {
			mu.Lock()
			under[w.Webhook]++
			mu.Unlock()
			calls.Go(func() {
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					if under[w.Webhook]--; under[w.Webhook] == 0 {
						delete(under, w.Webhook)
					}
				}()
				o := d.callWebhook(ctx, client, w)
				if ctx.Err() != nil && o.Error != "" {
					return // cut short by our own stop: another process tries again
				}
				settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
				defer cancel()
				if err := d.Store.SettleWebhook(settle, w, o); err != nil {
					d.log().WarnContext(ctx, "what a webhook answered is not noted, it is called again", "webhook", w.Webhook, "error", err)
				}
			})
		}
		if len(due) == 0 {
			pause(ctx, webhookPoll)
		}
	}
}

// callWebhook makes one call.
func (d *Desk) callWebhook(ctx context.Context, client *http.Client, w store.DueWebhook) (o store.WebhookOutcome) {
	began := time.Now()
	after, err := d.post(ctx, client, w, &o.Status)
	o.Took = time.Since(began)
	if err == nil {
		return o
	}
	o.Error = webhookWords(err)
	if o.Status == http.StatusGone {
		o.Disable = "it answered 410 Gone"
		return o
	}
	waits := webhookWaits()
	if w.Attempts >= len(waits) {
		o.Disable, o.Failing = "a delivery was refused for three days, and nothing was accepted for two", webhookPatience
		return o
	}
	// A little more, so that not everything comes back at once.
	o.Again = max(waits[w.Attempts], after)
	o.Again += time.Duration(0.1 * rand.Float64() * float64(o.Again)) //nolint:gosec // jitter is no secret
	return o
}

// webhookWords says what went wrong without the address, which the log has anyway.
func webhookWords(err error) string {
	switch {
	case errors.Is(err, transports.ErrNotPublic):
		return "refused: " + transports.ErrNotPublic.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer within " + webhookTimeout.String()
	}
	text := err.Error()
	if i := strings.Index(text, `": `); strings.HasPrefix(text, `Post "`) && i > 0 {
		text = text[i+3:]
	}
	return text[:min(len(text), 300)]
}

// maxWebhookWait bounds a Retry-After.
const maxWebhookWait = 24 * time.Hour

// post sends a delivery; it fails unless the answer is 2xx. After is a wait that the
// receiver asks for.
func (d *Desk) post(ctx context.Context, client *http.Client, w store.DueWebhook, status *int) (after time.Duration, err error) {
	secrets, err := d.Keyring.Open(inbox.SealedWebhook(w.Webhook), w.Sealed)
	if err != nil {
		return 0, err
	}
	keys := []string{secrets["secret"]}
	if w.PreviousUntil != nil && time.Now().Before(*w.PreviousUntil) && secrets["previous"] != "" {
		keys = append(keys, secrets["previous"])
	}
	// The same for every try, and for a fact that is told again.
	id, now := "msg_"+w.Webhook[:8]+"_"+strconv.FormatInt(w.FactID, 10), time.Now()
	signature, err := signWebhook(id, now, w.Body, keys...)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, strings.NewReader(w.Body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/cloudevents+json")
	req.Header.Set("User-Agent", "Parley")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", signature)
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	*status = res.StatusCode
	if res.StatusCode/100 == 2 {
		return 0, nil
	}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		after = min(time.Duration(seconds)*time.Second, maxWebhookWait)
	}
	return after, fmt.Errorf("it answered %s", http.StatusText(res.StatusCode))
}
