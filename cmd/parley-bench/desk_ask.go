package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// question is one thing that agents ask for.
type question struct {
	name   string
	target time.Duration
	// ask asks once, and fails unless the answer is a full one.
	ask func(ctx context.Context, dice *rand.Rand, n string) error
}

// answers are how long a question's answers took.
type answers struct {
	n        int
	took     time.Duration
	p50, p99 time.Duration
}

func (a answers) rate() float64 { return float64(a.n) / a.took.Seconds() }

// asked is a question with its answers.
type asked struct {
	question
	paced, flatOut answers
}

// questions are those of the inbox, and of somebody in a small tenant.
func (w *deskWorld) questions() []question {
	chat := func(dice *rand.Rand) int { return 1 + dice.IntN(w.chats) }
	full := func(n int, who attackTenant, path string) func(ctx context.Context, dice *rand.Rand, _ string) error {
		return func(ctx context.Context, _ *rand.Rand, _ string) error { return w.get(ctx, who, path, n) }
	}
	several := min(50, w.chats)
	older := min(5, w.each()-1)
	return []question{
		{"chat list", deskTarget, full(several, w.big, "/chats?limit=50")},
		{"chat list, open and unread", deskTarget, full(min(several, w.unread()), w.big, "/chats?limit=50&status=open&unread=true")},
		{"open a chat: it and its messages", deskTarget, func(ctx context.Context, dice *rand.Rand, _ string) error {
			id := chat(dice)
			if err := w.get(ctx, w.big, fmt.Sprintf("/chats/%d", id), 0); err != nil {
				return err
			}
			return w.get(ctx, w.big, fmt.Sprintf("/chats/%d/messages?limit=50", id), min(w.each(), 50))
		}},
		{"older page", deskTarget, func(ctx context.Context, dice *rand.Rand, _ string) error {
			return w.get(ctx, w.big, fmt.Sprintf("/chats/%d/messages?limit=50&before=%d", chat(dice), older+1), older)
		}},
		{"unread counts", deskTarget, full(0, w.big, "/chats/counts")},
		{"search: the commonest word", deskSearchTarget, full(20, w.big, "/search/messages?q="+commonWord)},
		{"search: two common words", deskSearchTarget, full(20, w.big, "/search/messages?q=order+w0")},
		{"search: a rare word", deskSearchTarget, full(min(20, w.messages/100_000), w.big, "/search/messages?q="+rareWord)},
		{"search: a word that nobody wrote", deskSearchTarget, full(0, w.big, "/search/messages?q=xylophone")},
		{"search: a client by number", deskSearchTarget, func(ctx context.Context, dice *rand.Rand, _ string) error {
			return w.get(ctx, w.big, fmt.Sprintf("/search/clients?q=%d", firstPerson+chat(dice)), 1)
		}},
		{"reply accepted", 0, func(ctx context.Context, dice *rand.Rand, n string) error { return w.reply(ctx, chat(dice), n) }},
		{"small tenant: chat list", deskTarget, full(smallChats, w.small, "/chats?limit=50")},
		{"small tenant: the commonest word", deskSearchTarget, full(20, w.small, "/search/messages?q="+commonWord)},
	}
}

// get asks for a path and expects at least so many items.
func (w *deskWorld) get(ctx context.Context, who attackTenant, path string, atLeast int) error {
	body, err := w.do(ctx, who, http.MethodGet, path, "", http.StatusOK, "")
	if err != nil || atLeast == 0 {
		return err
	}
	var page struct{ Items []json.RawMessage }
	if err := json.Unmarshal(body, &page); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(page.Items) < atLeast {
		return fmt.Errorf("%s has %d items, not %d", path, len(page.Items), atLeast)
	}
	return nil
}

func (w *deskWorld) reply(ctx context.Context, chat int, key string) error {
	_, err := w.do(ctx, w.big, http.MethodPost, fmt.Sprintf("/chats/%d/messages", chat), `{"text":"It is on its way.","seen":0,"force":true}`, http.StatusCreated, w.run+key)
	return err
}

func (w *deskWorld) do(ctx context.Context, who attackTenant, method, path, body string, want int, key string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, w.api+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+who.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := w.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != want {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, res.Status, answer)
	}
	return answer, err
}

// ask lets every connection ask for a while: when the one before was answered, or if
// there is a pace, when it is time, whatever became of the one before.
func (w *deskWorld) ask(ctx context.Context, q question, seed uint64, length, pace time.Duration) (a answers, err error) {
	var wg sync.WaitGroup
	took, errs := make([][]time.Duration, deskConnections), make([]error, deskConnections)
	began := time.Now()
	deadline := began.Add(length)
	for i := range deskConnections {
		dice := rand.New(rand.NewPCG(seed, uint64(i))) //nolint:gosec // which chat is no secret
		wg.Go(func() {
			due := began
			if pace > 0 {
				due = due.Add(time.Duration(dice.Int64N(int64(pace)))) // not all at once
			}
			for n := 0; ctx.Err() == nil; n++ {
				if pace > 0 {
					time.Sleep(time.Until(due))
				} else {
					due = time.Now()
				}
				if !due.Before(deadline) {
					return
				}
				if errs[i] = q.ask(ctx, dice, fmt.Sprintf("-%d-%d-%d", seed, i, n)); errs[i] != nil {
					return
				}
				took[i] = append(took[i], time.Since(due))
				due = due.Add(pace)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return a, err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	return answers{n: len(all), took: time.Since(began), p50: quantile(all, 0.5), p99: quantile(all, 0.99)}, nil
}
