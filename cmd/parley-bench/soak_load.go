package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// soakRepliers are agents who answer at the same time, each their own chats.
const soakRepliers = 4

// soakAgents are the people of the soak's tenant: they reply, look, search and
// follow.
type soakAgents struct {
	api    string
	token  string
	client *http.Client
	chats  int
	// rate is replies a second.
	rate    int
	mu      sync.Mutex
	replies int
	asked   int
	// failed are requests that were answered 5xx and made again; said is the first.
	failed int
	said   error
}

// reply answers chat by chat at the rate until the context ends, each reply to the
// end.
func (a *soakAgents) reply(ctx context.Context, number int, began time.Time) error {
	pause := time.Duration(float64(soakRepliers) / float64(a.rate) * float64(time.Second))
	for n := 0; ; n++ {
		select {
		case <-time.After(time.Until(began.Add(time.Duration(n) * pause))):
		case <-ctx.Done():
			return nil
		}
		mine := a.chats / soakRepliers
		chat, turn := number+1+n%mine*soakRepliers, n/mine+1
		body := fmt.Sprintf(`{"text":"reply %d 1.%d Thank you for your patience, your order is on its way.","seen":0,"force":true}`, firstPerson+chat, turn)
		err := a.do(context.WithoutCancel(ctx), http.MethodPost, fmt.Sprintf("/chats/%d/messages", chat), body, fmt.Sprintf("soak-%d-%d", chat, turn), http.StatusCreated)
		if err != nil {
			return err
		}
		a.mu.Lock()
		a.replies++
		a.mu.Unlock()
	}
}

// look asks what an inbox asks for, several times a second.
func (a *soakAgents) look(ctx context.Context, seed uint64) error {
	dice := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // which chat is no secret
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		chat := 1 + dice.IntN(a.chats)
		for _, path := range []string{
			"/chats?limit=50", fmt.Sprintf("/chats/%d", chat), fmt.Sprintf("/chats/%d/messages?limit=50", chat), "/chats/counts",
			"/search/messages?q=order+arrives", fmt.Sprintf("/search/clients?q=%d", firstPerson+chat),
		} {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
			if err := a.do(context.WithoutCancel(ctx), http.MethodGet, path, "", "", http.StatusOK); err != nil {
				return err
			}
			a.mu.Lock()
			a.asked++
			a.mu.Unlock()
		}
	}
}

// do makes a request until it is answered as it should be; an hour has room for a
// server's bad moment, which is counted.
func (a *soakAgents) do(ctx context.Context, method, path, body, key string, want int) error {
	for tries := 1; ; tries++ {
		err := a.once(ctx, method, path, body, key, want)
		if err == nil || tries == 5 {
			return err
		}
		a.mu.Lock()
		a.failed++
		if a.said == nil {
			a.said = err
		}
		a.mu.Unlock()
		time.Sleep(time.Second)
	}
}

func (a *soakAgents) once(ctx context.Context, method, path, body, key string, want int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, a.api+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != want {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, res.Status, answer)
	}
	return err
}

// follower is a stream that somebody keeps open, and opens again where it was when it
// is cut.
type follower struct {
	agents *soakAgents
	mu     sync.Mutex
	// received counts events about messages of clients, opened how often it was opened.
	received, opened int
	last             string
}

// follow reads until the context ends.
func (f *follower) follow(ctx context.Context, open func()) error {
	for {
		err := f.once(ctx, open)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("a stream: %w", err)
		}
		open = func() {}
	}
}

func (f *follower) once(ctx context.Context, open func()) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.agents.api+"/stream?types=message.received", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+f.agents.token)
	if f.last != "" {
		req.Header.Set("Last-Event-ID", f.last)
	}
	res, err := f.agents.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	f.mu.Lock()
	f.opened++
	f.mu.Unlock()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case field == "" && value == "parley":
			open()
		case field == "id":
			f.last = value
		case field == "event" && value == "reset":
			return errors.New("what came meanwhile is no longer kept")
		case field == "data" && json.Valid([]byte(value)):
			f.mu.Lock()
			f.received++
			f.mu.Unlock()
		}
	}
	return nil // cut: it is opened again
}

func (f *follower) counts() (received, opened int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.received, f.opened
}
