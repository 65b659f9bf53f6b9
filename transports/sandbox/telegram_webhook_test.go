package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"parley/transports/sandbox"
)

// TestWebhookDelivery: in order per chat, at the same time between chats, again
// until it succeeds.
func TestWebhookDelivery(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{})
	const people, messages = 5, 20
	var (
		mu    sync.Mutex
		got   = map[int64][]string{}
		busy  = map[int64]bool{}
		tries = map[int64]int{}
		all   = make(chan struct{})
		left  = people * messages
	)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var u struct {
			ID      int64 `json:"update_id"`
			Message struct {
				Text string `json:"text"`
				Chat struct {
					ID int64 `json:"id"`
				} `json:"chat"`
			} `json:"message"`
		}
		if err := json.NewDecoder(r.Body).Decode(&u); err != nil || r.Header.Get("X-Telegram-Bot-Api-Secret-Token") != "s3" {
			t.Error(err, r.Header)
		}
		mu.Lock()
		defer mu.Unlock()
		if busy[u.Message.Chat.ID] {
			t.Error("two deliveries at once to one chat")
		}
		busy[u.Message.Chat.ID] = true
		mu.Unlock()
		mu.Lock()
		busy[u.Message.Chat.ID] = false
		if tries[u.ID]++; tries[u.ID] <= int(u.ID%3) {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		got[u.Message.Chat.ID] = append(got[u.Message.Chat.ID], u.Message.Text)
		if left--; left == 0 {
			close(all)
		}
	}))
	defer hook.Close()
	if code, body := call(t, tg, "setWebhook", url.Values{"url": {hook.URL}, "secret_token": {"s3"}, "max_connections": {"3"}}); code != 200 {
		t.Fatal(body)
	}
	var want []string
	for n := range messages {
		want = append(want, strconv.Itoa(n))
		for p := range people {
			say(t, tg.Person(fmt.Sprint("p", p)), strconv.Itoa(n))
		}
	}
	<-all
	for p := range people {
		id := tg.Person(fmt.Sprint("p", p)).ID()
		mu.Lock()
		if !slices.Equal(got[id], want) {
			t.Errorf("p%d: %v", p, got[id])
		}
		mu.Unlock()
	}
	if _, body := call(t, tg, "getWebhookInfo", nil); !strings.Contains(body, `"last_error_message":"Wrong response from the webhook: 502 Bad Gateway"`) {
		t.Errorf("info %s", body)
	}
}

func TestRedeliverAndCopies(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{Faults: sandbox.TelegramFaults{Redeliver: 1, Copies: 4}})
	hits := make(chan struct{}, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits <- struct{}{} }))
	defer hook.Close()
	call(t, tg, "setWebhook", url.Values{"url": {hook.URL}})
	say(t, tg.Person("anna"), "hello")
	if _, err := tg.Await(t.Context(), func(e sandbox.TelegramEntry) bool { return e.What == sandbox.LogConfirmed }); err != nil {
		t.Fatal(err)
	}
	if len(hits) != 5 {
		t.Errorf("delivered %d times, want 4 copies and 1 again", len(hits))
	}
}
