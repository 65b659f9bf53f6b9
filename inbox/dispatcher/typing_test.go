package dispatcher_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/inbox/dispatcher"
	"parley/store/outboundtest"
	"parley/transports"
)

// typer is a provider that can show that somebody writes.
type typer struct {
	*provider
	shown chan string
}

var _ transports.Typer = typer{}

func (p typer) Typing(_ context.Context, to string) error {
	p.shown <- to
	if to == "p2" {
		panic("a bug")
	}
	return errors.New("whatever comes of it")
}

// Whom an agent writes to sees it, on the account's own connection, at most every
// few seconds; nothing is stored, and a failure is nobody's.
func TestTypingIsShown(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch, other := w.Channel(events.Telegram), w.Channel(events.SMS)
	w.People(ch.ID, "p", 3)
	w.People(other.ID, "q", 1)
	p := typer{newProvider(), make(chan string, 10)}
	p.caps.Typing = true
	build := func(transports.Account) (transports.Transport, error) { return p, nil }
	dispatch(w, p.provider, func(o *dispatcher.Options) {
		o.Factories = map[events.Transport]transports.Factory{events.Telegram: build, events.SMS: p.factories()[events.SMS]}
	})
	// It listens, and holds the channel, once it has sent something.
	w.Queue(ch.ID, "hello", "p1")
	w.Queue(other.ID, "hello", "q1")
	w.Until("both are sent", func() bool { return w.States()["sent"] == 2 })
	can := map[events.ChannelID]inbox.Abilities{ch.ID: {Typing: true}, other.ID: {}}
	show := func(address string) bool {
		t.Helper()
		var chat int64
		w.Row("SELECT chat_id FROM crm_chat_members WHERE address = $1", []any{address}, &chat)
		shown, err := w.DB.ShowTyping(t.Context(), w.Tenant, chat, "", can)
		if err != nil {
			t.Fatal(err)
		}
		return shown
	}
	var rows int
	count := "SELECT (SELECT count(*) FROM parley_deliveries) + (SELECT count(*) FROM parley_facts)"
	w.Row(count, nil, &rows)
	deadline := time.After(30 * time.Second)
	next := func() string {
		select {
		case to := <-p.shown:
			return to
		case <-deadline:
			t.Fatal("nothing is shown")
			return ""
		}
	}
	// Listening may begin after the first send.
	for first := true; first; {
		show("p1")
		select {
		case to := <-p.shown:
			first = false
			if to != "p1" {
				t.Errorf("shown to %s", to)
			}
		case <-time.After(50 * time.Millisecond):
		}
	}
	var got []string
	for _, to := range []string{"p1", "p1", "p2", "p3"} {
		if !show(to) {
			t.Errorf("not shown to %s", to)
		}
		if to != "p1" {
			got = append(got, next())
		}
	}
	if !reflect.DeepEqual(got, []string{"p2", "p3"}) {
		t.Errorf("shown to %q", got)
	}
	w.Exec("UPDATE crm_clients SET blocked_at = now() WHERE first_name = 'p3'")
	if show("q1") || show("p3") {
		t.Error("shown where it cannot be")
	}
	var after int
	w.Row(count, nil, &after)
	if after != rows {
		t.Errorf("%d rows were written", after-rows)
	}
}
