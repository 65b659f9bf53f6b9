package sandbox_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"parley/transports/sandbox"
)

// TestReorder delivers what comes next first, and loses nothing.
func TestReorder(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{Faults: sandbox.TelegramFaults{Reorder: 0.5, UpdateDelayMS: 1}})
	const messages = 40
	got := make(chan string, messages)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var u struct {
			Message struct {
				Text string `json:"text"`
			} `json:"message"`
		}
		if err := json.NewDecoder(r.Body).Decode(&u); err != nil {
			t.Error(err)
		}
		got <- u.Message.Text
	}))
	defer hook.Close()
	var want []string
	for i := range messages {
		say(t, tg.Person("anna"), strconv.Itoa(i))
		want = append(want, strconv.Itoa(i))
	}
	call(t, tg, "setWebhook", url.Values{"url": {hook.URL}})
	var order []string
	for range messages {
		order = append(order, <-got)
	}
	if slices.Equal(order, want) {
		t.Error("nothing was reordered")
	}
	slices.Sort(order)
	slices.Sort(want)
	if !slices.Equal(order, want) {
		t.Errorf("got %v", order)
	}
}

// TestForgottenConfirmations: an update comes again once, although it was
// confirmed.
func TestForgottenConfirmations(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{Faults: sandbox.TelegramFaults{Forget: 1}})
	say(t, tg.Person("anna"), "hello")
	for i, want := range []int{1, 0} { // the first confirmation is forgotten
		if _, body := call(t, tg, "getUpdates", url.Values{"offset": {"2"}}); len(updateIDs(t, body)) != want {
			t.Errorf("poll %d: %s, want %d", i, body, want)
		}
	}
}

func TestPollErrors(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{Faults: sandbox.TelegramFaults{PollError: 1}})
	if code, body := call(t, tg, "getUpdates", nil); code != 502 {
		t.Errorf("%d %s", code, body)
	}
}

// TestFaultsOfChanges strike edits and reactions, and no sends.
func TestFaultsOfChanges(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{Faults: sandbox.TelegramFaults{NextChanges: []string{"too_many", "server_error_after", ""}}})
	anna := tg.Person("anna")
	say(t, anna, "hello")
	to := strconv.FormatInt(anna.ID(), 10)
	if code, body := call(t, tg, "sendMessage", url.Values{"chat_id": {to}, "text": {"hi"}}); code != 200 {
		t.Fatal(body)
	}
	edit := url.Values{"chat_id": {to}, "message_id": {"2"}, "text": {"hi!"}}
	for i, want := range []int{429, 500, 400} { // the second was made
		if code, body := call(t, tg, "editMessageText", edit); code != want || (want == 400 && !strings.Contains(body, "not modified")) {
			t.Errorf("%d: %d %s, want %d", i, code, body, want)
		}
	}
	if left := tg.Faults().NextChanges; len(left) != 0 {
		t.Errorf("faults left: %v", left)
	}
}
