package telegram_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
)

const updates = `{"ok":true,"result":[
{"update_id":10,"message":{"message_id":1,"from":{"id":5,"first_name":"A"},"chat":{"id":5,"type":"private"},"date":1,"text":"one"}},
{"update_id":"eleven","message":{"message_id":2}},
{"update_id":12,"callback_query":{"id":"cb7","from":{"id":5,"first_name":"A"},"data":"x"}}]}`

const pollRequest = "POST https://api.telegram.org/bot<token>/getUpdates\n" +
	`allowed_updates=["message","edited_message","business_connection","business_message","edited_business_message","deleted_business_messages","message_reaction","callback_query","my_chat_member"]` + "\nlimit=100\n"

func TestPollConfirmsOnlyWhatWasKept(t *testing.T) {
	full := errors.New("disk full")
	api := &fakeAPI{answers: []fakeAnswer{
		{status: 200, body: updates},
		{status: 200, body: `{"ok":true,"result":true}`}, // answerCallbackQuery
		{status: 200, body: `{"ok":true,"result":[]}`},
		{status: 200, body: `{"ok":true,"result":[{"update_id":13,"poll":{}}]}`},
	}}
	bot := newBot(t, api.client(), nil)
	var cursors []string
	var got []events.Inbound
	err := bot.Poll(t.Context(), "", func(_ context.Context, evs []events.Inbound, cursor string) error {
		if cursors = append(cursors, cursor); len(cursors) == 2 {
			return full
		}
		got = append(got, evs...)
		return nil
	})
	checkRedacted(t, err)
	if !errors.Is(err, full) {
		t.Errorf("Poll: %v, want what emit said", err)
	}
	if strings.Join(cursors, " ") != "13 14" {
		t.Errorf("cursors %v", cursors)
	}
	if len(got) != 3 || got[0].Content.Text != "one" || got[1].Content.Type != events.Unsupported || got[2].Content.Type != events.Button {
		t.Errorf("events %+v", got)
	}
	want := []string{
		pollRequest + "timeout=25",
		"POST https://api.telegram.org/bot<token>/answerCallbackQuery\ncallback_query_id=cb7",
		pollRequest + "offset=13\ntimeout=25",
		pollRequest + "offset=13\ntimeout=25", // 14 was never kept, and so never confirmed
	}
	if took := api.took(); strings.Join(took, "\n--\n") != strings.Join(want, "\n--\n") {
		t.Errorf("requests:\n%s\nwant:\n%s", strings.Join(took, "\n--\n"), strings.Join(want, "\n--\n"))
	}
}

func TestPollFailures(t *testing.T) {
	for _, test := range []struct {
		name, cursor string
		answer       fakeAnswer
		check        func(error) bool
	}{
		{"conflict", "", fakeAnswer{status: 409, body: `{"ok":false,"error_code":409,"description":"Conflict: can't use getUpdates method while webhook is active"}`}, func(err error) bool {
			return strings.Contains(err.Error(), "another program polls") && strings.Contains(err.Error(), "webhook is active")
		}},
		{"token", "5", fakeAnswer{status: 401, body: `{"ok":false,"error_code":401,"description":"Unauthorized"}`}, func(err error) bool {
			return errors.Is(err, transports.ErrCredentials)
		}},
		{"no such token", "5", fakeAnswer{status: 404, body: `{"ok":false,"error_code":404,"description":"Not Found"}`}, func(err error) bool {
			return errors.Is(err, transports.ErrCredentials)
		}},
		{"throttled", "5", fakeAnswer{status: 429, body: `{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":3}}`}, func(err error) bool {
			var later *transports.RetryAfterError
			return errors.As(err, &later) && later.After == 3*time.Second
		}},
		{"a proxy's 401", "5", fakeAnswer{status: 401, body: `<html>`}, func(err error) bool { return !errors.Is(err, transports.ErrCredentials) }},
		{"server error", "5", fakeAnswer{status: 502, body: `<html>`}, func(err error) bool { return !errors.Is(err, transports.ErrCredentials) }},
		{"not an array", "5", fakeAnswer{status: 200, body: `{"ok":true,"result":{}}`}, func(err error) bool { return err != nil }},
		{"cursor of another kind", "yesterday", fakeAnswer{}, func(err error) bool { return strings.Contains(err.Error(), "yesterday") }},
		{"network", "5", fakeAnswer{err: errors.New("https://api.telegram.org/bot" + sandbox.DefaultTelegramToken + "/x: broken")}, func(err error) bool {
			return strings.Contains(err.Error(), "broken")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := &fakeAPI{answers: []fakeAnswer{test.answer}}
			err := newBot(t, api.client(), nil).Poll(t.Context(), test.cursor, func(context.Context, []events.Inbound, string) error {
				t.Error("emitted something")
				return nil
			})
			checkRedacted(t, err)
			if err == nil || !test.check(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestPollEndsAtOnce cancels in the middle of a long poll, on a clock that moves
// only when everybody waits.
func TestPollEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan struct{})
		bot := newBot(t, &http.Client{Transport: silent{asked}}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		go func() {
			<-asked
			cancel()
		}()
		err := bot.Poll(ctx, "5", nil)
		checkRedacted(t, err)
		if took := time.Since(began); !errors.Is(err, context.Canceled) || took > 0 {
			t.Errorf("ended with %v after %v", err, took)
		}
	})
}

// silent never answers.
type silent struct{ asked chan struct{} }

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	close(s.asked)
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestPollAfterAQuietWeek: ids continue below the cursor, and nothing is missed.
func TestPollAfterAQuietWeek(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{FirstUpdateID: 900_000})
	in := &inbox{bot: bot, got: make(chan events.Inbound, 10)}
	anna := tg.Person("anna")
	stop := in.poll(t, "")
	must(anna.Say("before"))
	in.next(t)
	cursor := stop()
	tg.JumpUpdateIDs(1000)
	must(anna.Say("after"))
	stop = in.poll(t, cursor)
	if ev := in.next(t); ev.Content.Text != "after" {
		t.Errorf("got %s", jsonOf(ev))
	}
	if cursor := stop(); cursor != "1001" {
		t.Errorf("cursor %s, want 1001", cursor)
	}
}

// TestPollDoesNotSpin on a server that answers an offset it does not understand
// with its first update: what it hands out is kept, and the gateway backs off.
func TestPollDoesNotSpin(t *testing.T) {
	again := fakeAnswer{status: 200, body: `{"ok":true,"result":[{"update_id":900,"message":{"message_id":1,"from":{"id":5,"first_name":"A"},"chat":{"id":5,"type":"private"},"date":1,"text":"one"}}]}`}
	api := &fakeAPI{answers: []fakeAnswer{again, again, again}}
	kept := 0
	err := newBot(t, api.client(), nil).Poll(t.Context(), "", func(context.Context, []events.Inbound, string) error {
		kept++
		return nil
	})
	checkRedacted(t, err)
	if err == nil || !strings.Contains(err.Error(), "again and again") || kept != 2 {
		t.Errorf("got %v after %d", err, kept)
	}
}

func TestPollTakesThePollerAway(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{})
	in := &inbox{bot: bot, got: make(chan events.Inbound, 10)}
	first := make(chan error, 1)
	go func() {
		first <- bot.Poll(t.Context(), "", func(_ context.Context, evs []events.Inbound, _ string) error {
			in.got <- evs[0]
			return nil
		})
	}()
	anna := tg.Person("anna")
	must(anna.Say("one"))
	in.next(t)
	// A second program with the same token: whoever asks later wins, and one of
	// the two is told.
	second := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		second <- bot.Poll(ctx, "", func(context.Context, []events.Inbound, string) error { return nil })
	}()
	var err error
	select {
	case err = <-first:
	case err = <-second:
	}
	if err == nil || !strings.Contains(err.Error(), "another program polls") {
		t.Errorf("got %v", err)
	}
}

func TestPressedButtonIsAnswered(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{})
	in := &inbox{bot: bot, got: make(chan events.Inbound, 10)}
	hook := newHook(t, in)
	anna := tg.Person("anna")
	id := must(anna.Say("hello"))
	stop := in.poll(t, "")
	in.next(t)
	pressed := func(data string) {
		t.Helper()
		if err := anna.Press(id, data); err != nil {
			t.Fatal(err)
		}
		ev := in.next(t)
		for ev.Content.Type != events.Button || ev.Content.Text != data {
			ev = in.next(t)
		}
		callback := strings.TrimPrefix(ev.Key.Message, "callback:")
		if _, err := tg.Await(t.Context(), func(e sandbox.TelegramEntry) bool {
			return e.What == sandbox.LogCalled && e.Kind == "answerCallbackQuery" && e.Text == callback
		}); err != nil {
			t.Fatal(err)
		}
	}
	pressed("by polling")
	stop()
	if err := bot.Connect(t.Context(), hook); err != nil {
		t.Fatal(err)
	}
	pressed("by webhook")
}

func TestPollTimeoutStaysBelowTheClients(t *testing.T) {
	for limit, want := range map[time.Duration]string{0: "25", time.Minute: "25", 30 * time.Second: "25", 20 * time.Second: "15", 2 * time.Second: "1"} {
		api := &fakeAPI{answers: []fakeAnswer{{status: 200, body: `{"ok":true,"result":[]}`}, {status: 500}}}
		bot := newBot(t, &http.Client{Transport: api, Timeout: limit}, nil)
		err := bot.Poll(t.Context(), "", nil)
		if err == nil || !strings.HasSuffix(api.took()[0], "\ntimeout="+want) {
			t.Errorf("client's limit %v: %v, %s; want %s s", limit, err, api.took()[0], want)
		}
	}
}

func jsonOf(v any) string { return string(must(json.Marshal(v))) }
