package main

import (
	"net/http"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
	"parley/transports/telegram"
)

// TestTurnsKeepSendersApart makes sure that a sender belongs to one line and counts
// without gaps: else the order that is verified would mean nothing.
func TestTurnsKeepSendersApart(t *testing.T) {
	t.Parallel()
	g := &generator{Connections: 3, Senders: 8, First: 100, Stride: 10, Each: 4}
	owner, counted := map[int64]int{}, map[int64]int{}
	for number := range g.Connections {
		l := &line{g: g, number: number}
		for n := 0; ; n++ {
			sender, counter, more := l.turn(n)
			if !more {
				break
			}
			if before, ok := owner[sender]; ok && before != number {
				t.Fatalf("sender %d writes on lines %d and %d", sender, before, number)
			}
			owner[sender] = number
			if counter != counted[sender]+1 {
				t.Fatalf("sender %d counts %d after %d", sender, counter, counted[sender])
			}
			counted[sender] = counter
		}
	}
	if len(counted) != g.Senders {
		t.Fatalf("%d senders wrote, not %d", len(counted), g.Senders)
	}
	for sender, n := range counted {
		if n != g.Each {
			t.Errorf("sender %d wrote %d times, not %d", sender, n, g.Each)
		}
	}
}

// TestNewSendersAreNew makes sure that no two lines invent the same person.
func TestNewSendersAreNew(t *testing.T) {
	t.Parallel()
	g := &generator{Connections: 4, First: 1000}
	seen := map[int64]bool{}
	for number := range g.Connections {
		l := &line{g: g, number: number}
		for n := range 100 {
			sender, _, _ := l.turn(n)
			if seen[sender] {
				t.Fatalf("sender %d is not new", sender)
			}
			seen[sender] = true
		}
	}
}

// TestPayloadIsAnUpdate makes sure that what is measured is a message, not an
// update that the adapter ignores cheaply.
func TestPayloadIsAnUpdate(t *testing.T) {
	t.Parallel()
	built, err := telegram.New(transports.Account{
		HTTPClient: http.DefaultClient, Secrets: map[string]string{"token": "1:x", "webhook_secret": "s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	hook, ok := built.(transports.Webhook)
	if !ok {
		t.Fatal("the adapter takes no webhooks")
	}
	u := update{run: 3, sender: 42, counter: 7, sent: time.Unix(1_700_000_000, 5)}
	req := &http.Request{Header: http.Header{"X-Telegram-Bot-Api-Secret-Token": {"s"}}}
	callback, err := hook.ParseWebhook(req, u.body(nil))
	if err != nil || len(callback.Events) != 1 {
		t.Fatalf("parsed as %+v, %v", callback, err)
	}
	ev := callback.Events[0]
	if ev.Kind != events.Message || ev.Content == nil || ev.Content.Text != u.text() {
		t.Errorf("parsed as %+v", ev)
	}
	if want := (events.MessageKey{Chat: "42", Message: "3000007"}); ev.Key != want {
		t.Errorf("key %+v, want %+v", ev.Key, want)
	}
}

// TestThousands keeps figures readable.
func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is shown as %s", n, got)
		}
	}
}

// TestTrendTellsGrowthFromNoise makes sure that the soak's verdict is worth something.
func TestTrendTellsGrowthFromNoise(t *testing.T) {
	t.Parallel()
	var at []time.Duration
	var quiet, leak, slow []float64
	for i := range 200 {
		at = append(at, time.Duration(i)*15*time.Second)
		noise := float64(i*7919%11) - 5 // -5 to 5, in no order
		quiet = append(quiet, 100+noise)
		leak = append(leak, 100+noise+0.2*float64(i))
		slow = append(slow, 100+0.01*float64(i))
	}
	if f := fit(at, quiet); !f.flat(0, 0) {
		t.Errorf("noise counts as growth by %.2f", f.growth())
	}
	if f := fit(at, leak); f.flat(0.05, 4) || f.growth() < 35 || f.growth() > 45 {
		t.Errorf("a leak of 40 in 100 counts as growth by %.2f", f.growth())
	}
	if f := fit(at, slow); !f.flat(0.05, 0) || f.flat(0.01, 0) {
		t.Errorf("a growth by 2 %% is one by %.2f of %.1f", f.growth(), f.mean)
	}
}

// TestPaceOfLines makes sure that lines together keep the rate.
func TestPaceOfLines(t *testing.T) {
	t.Parallel()
	g := &generator{Connections: 4, Rate: 200}
	seen := map[time.Duration]bool{}
	for number := range g.Connections {
		l := &line{g: g, number: number}
		for n := range 50 {
			seen[l.due(n)] = true
		}
	}
	for n := range 200 {
		if due := time.Duration(n) * 5 * time.Millisecond; !seen[due] {
			t.Fatalf("nobody sends at %s", due)
		}
	}
}
