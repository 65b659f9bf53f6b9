package telegram_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/telegram"
)

// TestSwitchingUnderLoad writes while the bot goes from polling to a webhook and
// back, on a provider that delivers late, twice, out of order and sometimes not
// at all: every message arrives, under one key.
func TestSwitchingUnderLoad(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{Faults: sandbox.TelegramFaults{
		Redeliver: 0.2, Reorder: 0.2, Forget: 0.2, PollError: 0.2, UpdateDelayMS: 1,
	}})
	const people, messages, rounds = 4, 5, 6
	in := &inbox{bot: bot, got: make(chan events.Inbound, people*messages*rounds*20)}
	hook := httptest.NewServer(in)
	defer hook.Close()
	cursor := ""
	for round := range rounds {
		written := make(chan error, people)
		for p := range people {
			go func() {
				var err error
				for n := range messages {
					_, wrote := tg.Person(fmt.Sprint("person ", p)).Say(fmt.Sprint(p, "/", round, "/", n))
					err = errors.Join(err, wrote)
				}
				written <- err
			}()
		}
		cursor = pollFor(t, bot, in, cursor)
		for _, url := range []string{hook.URL + "/opaque-path", ""} {
			if err := bot.Connect(t.Context(), url); err != nil {
				t.Fatal(err)
			}
		}
		for range people {
			if err := <-written; err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := bot.Connect(t.Context(), hook.URL+"/opaque-path"); err != nil {
		t.Fatal(err)
	}
	keys, texts := map[events.MessageKey]string{}, map[string]events.MessageKey{}
	for len(texts) < people*messages*rounds {
		ev := in.next(t)
		if text, known := keys[ev.Key]; known && text != ev.Content.Text {
			t.Fatalf("%+v is %q and %q", ev.Key, text, ev.Content.Text)
		}
		if key, known := texts[ev.Content.Text]; known && key != ev.Key {
			t.Fatalf("%q is %+v and %+v", ev.Content.Text, key, ev.Key)
		}
		keys[ev.Key], texts[ev.Content.Text] = ev.Content.Text, ev.Key
	}
}

// pollFor polls until something came or there is nothing, and yields the cursor.
func pollFor(t *testing.T, bot *telegram.Bot, in *inbox, cursor string) string {
	t.Helper()
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := bot.Poll(ctx, cursor, func(_ context.Context, evs []events.Inbound, next string) error {
			for _, ev := range evs {
				in.got <- ev
			}
			cursor = next
			cancel()
			return nil
		})
		cancel()
		checkRedacted(t, err)
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return cursor
		}
	}
	return cursor
}

// TestChangeCertainty breaks edits over real connections, and tries again what
// is uncertain: it ends as if it had worked at once.
func TestChangeCertainty(t *testing.T) {
	for fault, want := range map[string]transports.Outcome{
		"reset_after": transports.Unknown, "cut_after": transports.Unknown, "half_close_after": transports.Unknown,
		"server_error_after": transports.Unknown, "reset_before": transports.Unknown, "server_error": transports.Unknown,
		"too_many": transports.Retry, "refuse_400": transports.Rejected,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			tg, bot := standIn(t, sandbox.TelegramOptions{})
			anna := tg.Person("anna")
			must(anna.Say("hello"))
			to := strconv.FormatInt(anna.ID(), 10)
			sent := must(bot.Send(t.Context(), transports.Outbound{To: to, Part: transports.Part{Text: "hi"}}))
			tg.SetFaults(sandbox.TelegramFaults{NextChanges: []string{fault}})
			change := transports.Change{To: to, ProviderID: sent.ProviderID, Text: "hi!"}
			if got := outcome(t, bot.Edit(t.Context(), change)); got != want {
				t.Errorf("%v, want %v", got, want)
			}
			if err := bot.Edit(t.Context(), change); err != nil {
				t.Errorf("again: %v", err)
			}
			if got := anna.Phone()[1].Text; got != "hi!" {
				t.Errorf("Anna sees %q", got)
			}
		})
	}
}

// TestUnreachableAndBack: blocked by the client, shown so, and open again.
func TestUnreachableAndBack(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{})
	in := newInbox(t, bot)
	anna := tg.Person("anna")
	must(anna.Say("hello"))
	in.next(t)
	to := strconv.FormatInt(anna.ID(), 10)
	if err := anna.Block(); err != nil {
		t.Fatal(err)
	}
	if ev := in.next(t); ev.Kind != events.Reachability || !ev.Blocked {
		t.Errorf("got %s", jsonOf(ev))
	}
	_, err := bot.Send(t.Context(), transports.Outbound{To: to, Part: transports.Part{Text: "hi"}})
	var e *transports.SendError
	if !errors.As(err, &e) || !e.Unreachable || e.Outcome != transports.Rejected || !strings.Contains(e.Words, "blocked") {
		t.Errorf("got %v, want unreachable", err)
	}
	if err := anna.Unblock(); err != nil {
		t.Fatal(err)
	}
	if ev := in.next(t); ev.Kind != events.Reachability || ev.Blocked {
		t.Errorf("got %s", jsonOf(ev))
	}
	if _, err := bot.Send(t.Context(), transports.Outbound{To: to, Part: transports.Part{Text: "hi"}}); err != nil {
		t.Error(err)
	}
}

// TestWebhookInfoIsReported: what waits at the provider and why, for metrics and
// health.
func TestWebhookInfoIsReported(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{WebhookRetry: time.Hour})
	closed := httptest.NewServer(nil)
	if err := bot.Connect(t.Context(), closed.URL+"/opaque-path"); err != nil {
		t.Fatal(err)
	}
	closed.Close()
	must(tg.Person("anna").Say("hello"))
	if _, err := tg.Await(t.Context(), func(e sandbox.TelegramEntry) bool { return e.What == sandbox.LogDelivered }); err != nil {
		t.Fatal(err)
	}
	for {
		report := must(bot.Check(t.Context()))
		if report.Pending != 1 {
			t.Fatalf("report %+v", report)
		}
		if report.LastError == "" {
			continue // the failure is noted right after it was logged
		}
		if report.LastError != "Connection failed" || report.LastErrorAt.IsZero() || !strings.HasSuffix(report.WebhookURL, "/opaque-path") {
			t.Errorf("report %+v", report)
		}
		return
	}
}

// TestSynchronisationErrorIsReported is of a Bot API server of one's own that
// cannot reach Telegram.
func TestSynchronisationErrorIsReported(t *testing.T) {
	api := &fakeAPI{answers: []fakeAnswer{
		{status: 200, body: `{"ok":true,"result":{"id":1,"is_bot":true,"first_name":"Shop"}}`},
		{status: 200, body: `{"ok":true,"result":{"url":"","pending_update_count":0,"last_error_date":1785000000,"last_error_message":"x","last_synchronization_error_date":1785000100}}`},
	}}
	report := must(newBot(t, api.client(), nil).Check(t.Context()))
	if report.Account != "Shop" || !strings.Contains(report.LastError, "data centres") || report.LastErrorAt.Unix() != 1785000100 {
		t.Errorf("report %+v", report)
	}
}
