package telegram_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/telegram"
)

const webhookSecret = "s3cret-Webhook_token"

// standIn starts a Bot API server and an adapter that speaks to it over HTTP.
func standIn(t *testing.T, opts sandbox.TelegramOptions) (*sandbox.Telegram, *telegram.Bot) {
	t.Helper()
	if opts.WebhookRetry == 0 {
		opts.WebhookRetry = time.Millisecond
	}
	tg, err := sandbox.NewTelegram(opts)
	if err != nil {
		t.Fatal(err)
	}
	api, err := tg.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t)
	t.Cleanup(func() {
		if err := tg.Close(); err != nil {
			t.Error(err)
		}
	})
	return tg, newBot(t, client, map[string]string{"api_url": api})
}

func newClient(t *testing.T) *http.Client {
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func newBot(t testing.TB, client *http.Client, settings map[string]string) *telegram.Bot {
	t.Helper()
	account := transports.Account{
		Channel: events.Channel{Transport: events.Telegram, WebhookPath: "opaque-path", Country: "DE", Settings: settings},
		Secrets: map[string]string{"token": sandbox.DefaultTelegramToken, "webhook_secret": webhookSecret}, HTTPClient: client,
	}
	made, err := telegram.New(account)
	if err != nil {
		t.Fatal(err)
	}
	return made.(*telegram.Bot)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// inbox collects what a poller or a webhook takes in.
type inbox struct {
	bot interface {
		transports.Poller
		transports.Webhook
	}
	got chan events.Inbound
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	callback, err := in.bot.ParseWebhook(r, body)
	if err != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	for _, ev := range callback.Events {
		in.got <- ev
	}
	if callback.Body != nil {
		w.Header().Set("Content-Type", callback.ContentType)
		_, _ = w.Write(callback.Body)
	}
}

func (in *inbox) next(t *testing.T) events.Inbound {
	t.Helper()
	select {
	case ev := <-in.got:
		return ev
	case <-t.Context().Done():
		t.Fatal("no event came")
	}
	return events.Inbound{}
}

// poll runs the poller until stop, which waits for it.
func (in *inbox) poll(t *testing.T, cursor string) (stop func() (cursor string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- in.bot.Poll(ctx, cursor, func(_ context.Context, evs []events.Inbound, next string) error {
			for _, ev := range evs {
				in.got <- ev
			}
			cursor = next
			return nil
		})
	}()
	return func() string {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Poll: %v, want context.Canceled", err)
		}
		return cursor
	}
}

func TestPollingAndWebhookSwitchLosesNothing(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{})
	in := &inbox{bot: bot, got: make(chan events.Inbound, 100)}
	hook := httptest.NewServer(in)
	defer hook.Close()
	anna := tg.Person("anna")
	say := func(text string) {
		t.Helper()
		if _, err := anna.Say(text); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(text string) {
		t.Helper()
		if ev := in.next(t); ev.Kind != events.Message || ev.Content.Text != text {
			t.Fatalf("got %s %+v, want message %q", ev.Kind, ev.Content, text)
		}
	}

	say("one")
	stop := in.poll(t, "")
	expect("one")
	say("two")
	expect("two")
	// Written while nobody asks, and before the webhook is set.
	stop()
	say("three")
	if err := bot.Connect(t.Context(), hook.URL+"/opaque-path"); err != nil {
		t.Fatal(err)
	}
	// "two" was emitted but never confirmed by a later poll: redelivered, not lost.
	ev := in.next(t)
	if ev.Content.Text == "two" {
		ev = in.next(t)
	}
	if ev.Content.Text != "three" {
		t.Fatalf("got %+v, want three", ev.Content)
	}
	say("four")
	expect("four")
	if err := bot.Connect(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	say("five")
	stop = in.poll(t, "")
	for ev := in.next(t); ev.Content.Text != "five"; ev = in.next(t) {
	}
	stop()
	report := must(bot.Check(t.Context()))
	if report.Account != "@sandbox_bot" || report.WebhookURL != "" {
		t.Errorf("report %+v", report)
	}
}

func TestSendArrives(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{})
	anna := tg.Person("anna")
	id := must(anna.Say("hello"))
	to := json.Number(must(json.Marshal(anna.ID()))).String()
	receipt, err := bot.Send(t.Context(), transports.Outbound{To: to, Part: transports.Part{Text: "hi Anna"}, ReplyTo: json.Number(must(json.Marshal(id))).String()})
	if err != nil {
		t.Fatal(err)
	}
	phone := anna.Phone()
	if len(phone) != 2 || phone[1].Text != "hi Anna" || phone[1].ReplyTo != id || !phone[1].FromBot {
		t.Errorf("Anna sees %+v", phone)
	}
	if receipt.Chat != to || receipt.ProviderID == "" || receipt.AcceptedAt.IsZero() {
		t.Errorf("receipt %+v", receipt)
	}
}
