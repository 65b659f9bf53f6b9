package dispatcher_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/inbox/dispatcher"
	"parley/store/outboundtest"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/telegram"
)

// A provider fails in every way it knows, and owners lose their lease meanwhile: what the stand-in's own log says arrived must be what we say was
// sent, once and in order.
func TestFaultsAgainstTheStandInsLog(t *testing.T) {
	t.Parallel()
	const people, rounds = 30, 8
	tg, err := sandbox.NewTelegram(sandbox.TelegramOptions{OpenChats: true, Seed: 7, Faults: sandbox.TelegramFaults{
		TooMany: .03, ServerError: .05, HangBefore: .02, ResetBefore: .05, Refuse400: .03,
		ServerErrorAfter: .03, HangAfter: .03, ResetAfter: .03, CutAfter: .03,
	}})
	if err != nil {
		t.Fatal(err)
	}
	api, err := tg.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tg.Close() })

	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "1000", people)
	for round := range rounds {
		w.Queue(ch.ID, fmt.Sprint(round), outboundtest.Addresses("1000", people, 1)...)
	}
	build := func(a transports.Account) (transports.Transport, error) {
		a.Secrets = map[string]string{"token": sandbox.DefaultTelegramToken}
		a.Channel.Settings = map[string]string{"api_url": api, "rate": "0", "person_rate": "0"}
		return telegram.New(a)
	}
	adjust := func(o *dispatcher.Options) {
		o.Factories = map[events.Transport]transports.Factory{events.Telegram: build}
		o.SendDeadline = 300 * time.Millisecond
	}
	dispatch(w, newProvider(), adjust)
	dispatch(w, newProvider(), adjust)
	// Owners lose their lease as the work goes on.
	for _, share := range []int{people, 3 * people, 6 * people} {
		w.Until("more has ended", func() bool {
			s := w.States()
			return s["sent"]+s["failed"]+s["uncertain"] >= share
		})
		steal(w)
	}
	w.Until("all have ended", func() bool {
		s := w.States()
		return s["sent"]+s["failed"]+s["uncertain"] == people*rounds
	})

	arrived := make(map[string]int)
	order := make(map[int64][]string)
	for _, e := range tg.Log(0) {
		if e.What == sandbox.LogSent {
			arrived[e.Text]++
			order[e.Chat] = append(order[e.Chat], e.Text)
		}
	}
	for _, row := range w.Strings(`SELECT d.state || '|' || m.message FROM parley_deliveries d JOIN crm_chat_messages m ON m.id = d.message_id`) {
		state, text, _ := strings.Cut(row, "|")
		switch n := arrived[text]; {
		case n > 1:
			t.Errorf("%q arrived %d times", text, n)
		case state == "sent" && n != 1:
			t.Errorf("%q is called sent and did not arrive", text)
		case state == "failed" && n != 0:
			t.Errorf("%q is called failed and did arrive", text)
		}
	}
	for chat, texts := range order {
		sorted := slices.Clone(texts)
		slices.SortFunc(sorted, func(a, b string) int { return roundOf(a) - roundOf(b) })
		if !slices.Equal(texts, sorted) {
			t.Errorf("chat %d got %q", chat, texts)
		}
	}
	if w.States()["uncertain"] == 0 {
		t.Error("nothing was uncertain: the faults did not happen")
	}
}

// roundOf is the number that a text begins with.
func roundOf(text string) int {
	number, _, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		return -1
	}
	return n
}
