package dispatcher_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"parley/events"
	"parley/store/outboundtest"
	"parley/transports"
)

func TestEverythingIsSentOnceInOrder(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	p := newProvider()
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 40)
	for round := range 10 {
		w.Queue(ch.ID, fmt.Sprint(round), outboundtest.Addresses("p", 40, 1)...)
	}
	dispatch(w, p)
	w.Until("all are sent", func() bool { return w.States()["sent"] == 400 })
	for i := range 40 {
		address := fmt.Sprint("p", i+1)
		want := make([]string, 10)
		for round := range want {
			want[round] = fmt.Sprint(round, " ", address)
		}
		if got := p.acceptedBy(address); !reflect.DeepEqual(got, want) {
			t.Errorf("%s got %q, want %q", address, got, want)
		}
	}
	var unsent, facts, lanes int
	w.Row("SELECT count(*) FROM crm_chat_messages WHERE sent_at IS NULL", nil, &unsent)
	w.Row("SELECT coalesce(sum(coalesce(cardinality(chat_ids), 1)), 0)::int FROM parley_facts WHERE noun = 'message' AND verb = 'sent'", nil, &facts)
	w.Until("no lane is left", func() bool {
		w.Row("SELECT count(*) FROM parley_lanes", nil, &lanes)
		return lanes == 0
	})
	if unsent != 0 || facts != 400 {
		t.Errorf("%d messages without sent_at, %d facts; want 0 and 400", unsent, facts)
	}
}

func TestRetriesNeverLetALaterMessageOvertake(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	p := newProvider()
	p.script = func(context.Context, transports.Outbound) error {
		if rand.IntN(3) > 0 {
			return nil
		}
		return &transports.SendError{Outcome: transports.Retry, Words: "The network was down."}
	}
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 20)
	for round := range 10 {
		w.Queue(ch.ID, fmt.Sprint(round), outboundtest.Addresses("p", 20, 1)...)
	}
	dispatch(w, p)
	w.Until("all are sent", func() bool { return w.States()["sent"] == 200 })
	for i := range 20 {
		address := fmt.Sprint("p", i+1)
		got := p.acceptedBy(address)
		for round, text := range got {
			if !strings.HasPrefix(text, fmt.Sprint(round, " ")) {
				t.Fatalf("%s got %q", address, got)
			}
		}
		if len(got) != 10 {
			t.Errorf("%s got %d messages", address, len(got))
		}
	}
	var tries, retries int
	w.Row("SELECT count(*), count(*) FILTER (WHERE outcome = 'retry') FROM parley_attempts", nil, &tries, &retries)
	if tries != 200+retries || retries == 0 {
		t.Errorf("%d attempts, %d of them retried", tries, retries)
	}
}
