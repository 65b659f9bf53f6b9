package main_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"parley/events"
	"parley/inbox/dispatcher"
	"parley/store"
	"parley/store/outboundtest"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/twilio"
)

// Twilio accepted a message and never answered, and its callbacks are lost: it is
// uncertain, until it is found in Twilio's list. It is sent once.
func TestTwilioIsAskedWhatBecameOfAMessage(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	tw, err := sandbox.NewTwilio(sandbox.TwilioOptions{})
	if err != nil {
		t.Fatal(err)
	}
	api, err := tw.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tw.Close(); err != nil {
			t.Error(err)
		}
	})
	ch := w.Channel(events.SMS)
	if _, err := w.DB.UpdateChannel(t.Context(), w.Tenant, ch.ID, store.ChannelChange{Settings: map[string]string{
		"api_url": api, "account_sid": sandbox.DefaultTwilioAccount, "from": sandbox.DefaultTwilioNumber,
	}}); err != nil {
		t.Fatal(err)
	}
	anna := tw.Person("anna").Number()
	w.People(ch.ID, "p", 1)
	w.Exec("UPDATE crm_chat_members SET address = $1", anna)
	lost := w.QueueTexts(ch.ID, anna, "Are you there?")[0]

	tw.SetFaults(sandbox.TwilioFaults{Next: []string{"hang_after"}, DropStatus: 1})
	client := &http.Client{Transport: &http.Transport{}}
	d, err := dispatcher.New(dispatcher.Options{
		Store: w.DB, HTTPClient: client, Factories: map[events.Transport]transports.Factory{events.SMS: twilio.New},
		OpenSecrets: func(events.Channel) (map[string]string, error) {
			return map[string]string{"auth_token": sandbox.DefaultTwilioToken}, nil
		},
		// Long enough for Twilio to accept it, however busy the machine is.
		SendDeadline: 5 * time.Second, SettleFirst: 50 * time.Millisecond,
		RefreshEvery: 20 * time.Millisecond, PollEvery: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		client.CloseIdleConnections()
	})
	w.Until("it is settled", func() bool { return w.State(lost) == "sent" })
	behind := w.QueueTexts(ch.ID, anna, "Hello?")[0]
	w.Until("the next is sent", func() bool { return w.State(behind) == "sent" })

	var outcome, found string
	var attempts int
	w.Row("SELECT outcome, provider_id, (SELECT count(*) FROM parley_attempts) FROM parley_attempts WHERE delivery_id = $1", []any{lost}, &outcome, &found, &attempts)
	var accepted []string
	for _, e := range tw.Log(0) {
		if e.What == sandbox.LogSent {
			accepted = append(accepted, e.SID)
		}
	}
	if outcome != "sent" || attempts != 2 || len(accepted) != 2 || accepted[0] != found {
		t.Errorf("settled as %s with %s, %d attempts, Twilio accepted %v", outcome, found, attempts, accepted)
	}
	uncertain := w.Strings("SELECT verb FROM parley_facts, generate_series(1, coalesce(cardinality(chat_ids), 1)) WHERE noun = 'message' ORDER BY id")
	if len(uncertain) != 3 || uncertain[0] != "uncertain" || uncertain[1] != "sent" {
		t.Errorf("facts %q", uncertain)
	}
}
