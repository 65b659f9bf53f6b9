package jetstream_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
)

// BenchmarkPublish measures accepting on one machine, fsync on: how many
// messages a second, and how many go together.
func BenchmarkPublish(b *testing.B) {
	for _, partitions := range []int{1, 2, 4} {
		for _, callers := range []int{1, 32, 64, 256} {
			b.Run(fmt.Sprintf("partitions=%d/callers=%d", partitions, callers), func(b *testing.B) {
				var frames, messages atomic.Int64
				bus := natstest.Start(b, func(o *jetstream.Options) {
					o.Partitions = partitions
					o.MaxBytes = 4 << 30
					o.Observer.Published = func(_ string, n int, _ bool, _ time.Duration, _ error) {
						frames.Add(1)
						messages.Add(int64(n))
					}
				})
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for c := range callers {
					wg.Go(func() {
						for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
							if err := bus.Publish(b.Context(), event(fmt.Sprint("caller", c), int(n))); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
				b.ReportMetric(float64(messages.Load())/float64(frames.Load()), "msgs/frame")
			})
		}
	}
}

// BenchmarkReader measures reading back a partition that was filled before.
func BenchmarkReader(b *testing.B) {
	bus := natstest.Start(b, one, func(o *jetstream.Options) { o.MaxBytes = 4 << 30 })
	const stored = 20_000
	evs := make([]events.Inbound, 0, stored)
	for i := range stored {
		evs = append(evs, event("ann", i))
	}
	mustPublish(b, bus, evs...)
	b.ResetTimer()
	for range b.N {
		r, err := bus.Reader(b.Context(), 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		for n := 0; n < stored; {
			recs, err := r.Next(b.Context(), 500)
			if err != nil {
				b.Fatal(err)
			}
			n += len(recs)
		}
		r.Close()
	}
	b.ReportMetric(float64(b.N)*stored/b.Elapsed().Seconds(), "msgs/s")
}
