package dispatcher_test

import (
	"fmt"
	"testing"
	"time"

	"parley/events"
	"parley/inbox/dispatcher"
	"parley/store/outboundtest"
)

// BenchmarkDrain sends 20,000 queued messages to a provider that accepts at once,
// spread over people in three ways.
func BenchmarkDrain(b *testing.B) {
	const messages = 20_000
	for _, lanes := range []int{1000, messages, 10} {
		b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
			for range b.N {
				drain(b, lanes, messages/lanes, newProvider(), nil)
			}
		})
	}
}

// drain queues rounds messages to each of the lanes and measures until all are
// sent.
func drain(b *testing.B, lanes, rounds int, p *provider, prepare func(*outboundtest.World, events.Channel), adjust ...func(*dispatcher.Options)) {
	b.Helper()
	b.StopTimer()
	w := outboundtest.New(b)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", lanes)
	for range rounds {
		w.Queue(ch.ID, "hello", outboundtest.Addresses("p", lanes, 1)...)
	}
	if prepare != nil {
		prepare(w, ch)
	}
	var start time.Time
	b.StartTimer()
	start = time.Now()
	r := dispatch(w, p, adjust...)
	// Counting rows would be measured, too.
	w.Until("all are accepted", func() bool { return p.count() == lanes*rounds })
	w.Until("all are sent", func() bool { return w.States()["sent"] == lanes*rounds })
	took := time.Since(start)
	b.StopTimer()
	r.end()
	b.ReportMetric(float64(lanes*rounds)/took.Seconds(), "messages/s")
}
