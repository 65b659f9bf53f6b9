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

func updateIDs(t *testing.T, body string) []int64 {
	t.Helper()
	var answer struct {
		Result []struct {
			ID int64 `json:"update_id"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err, body)
	}
	ids := []int64{}
	for _, u := range answer.Result {
		ids = append(ids, u.ID)
	}
	return ids
}

func TestGetUpdates(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{FirstUpdateID: 100})
	anna := tg.Person("anna")
	for i := range 5 {
		say(t, anna, strconv.Itoa(i))
	}
	for _, test := range []struct {
		form url.Values
		want []int64
	}{
		{nil, []int64{100, 101, 102, 103, 104}},
		{url.Values{"limit": {"2"}}, []int64{100, 101}},
		{url.Values{"offset": {"102"}, "limit": {"2"}}, []int64{102, 103}},
		{url.Values{"offset": {"1"}}, []int64{102, 103, 104}},      // confirmed stays confirmed
		{url.Values{"offset": {"-1"}}, []int64{104}},               // the newest
		{url.Values{"offset": {"999999"}}, []int64{102, 103, 104}}, // from before the ids jumped
		{url.Values{"offset": {"105"}}, []int64{}},
	} {
		if _, body := call(t, tg, "getUpdates", test.form); !slices.Equal(updateIDs(t, body), test.want) {
			t.Errorf("%v gave %v, want %v", test.form, updateIDs(t, body), test.want)
		}
	}
	// Reactions come only to those who ask.
	react := func() {
		t.Helper()
		if err := anna.React(1, "👍"); err != nil {
			t.Fatal(err)
		}
	}
	react()
	call(t, tg, "getUpdates", url.Values{"offset": {"105"}, "allowed_updates": {`["message_reaction"]`}})
	react()
	say(t, anna, "not asked for")
	if _, body := call(t, tg, "getUpdates", nil); !strings.Contains(body, `"new_reaction":[{"type":"emoji","emoji":"👍"}]`) || len(updateIDs(t, body)) != 1 {
		t.Errorf("got %s", body)
	}
}

func TestLongPollAndConflicts(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{})
	anna := tg.Person("anna")
	poll := func() chan string {
		out := make(chan string, 1)
		go func() {
			_, body := call(t, tg, "getUpdates", url.Values{"timeout": {"50"}})
			out <- body
		}()
		return out
	}
	// Which of two polls came first is not ours to say, but one must yield.
	one, two := poll(), poll()
	var other chan string
	select {
	case body := <-one:
		if !strings.Contains(body, "Conflict: terminated by other getUpdates request") {
			t.Errorf("got %s", body)
		}
		other = two
	case body := <-two:
		if !strings.Contains(body, "Conflict: terminated by other getUpdates request") {
			t.Errorf("got %s", body)
		}
		other = one
	}
	say(t, anna, "hello")
	if body := <-other; !strings.Contains(body, `"text":"hello"`) {
		t.Errorf("got %s", body)
	}
	hook := httptest.NewServer(http.NotFoundHandler())
	defer hook.Close()
	call(t, tg, "setWebhook", url.Values{"url": {hook.URL}})
	if code, body := call(t, tg, "getUpdates", nil); code != 409 || !strings.Contains(body, "can't use getUpdates method while webhook is active") {
		t.Errorf("%d %s", code, body)
	}
}
