package router_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"parley/store"
)

// BenchmarkStoreBatch stores batches of messages of known senders and of people
// who write for the first time.
func BenchmarkStoreBatch(b *testing.B) {
	for _, size := range []int{1, 16, 100, 500} {
		for _, kind := range []string{"known", "new"} {
			b.Run(fmt.Sprintf("%s/%d", kind, size), func(b *testing.B) {
				w := setup(b)
				ctx := context.Background()
				w.ctx = ctx
				w.register()
				l, err := w.db.TakePartition(ctx, "bench", time.Hour)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				one := func() {
					batch := make([]store.InboundRecord, size)
					for i := range batch {
						n++
						who := n
						if kind == "known" {
							who = n % 1000
						}
						ev := w.text(who, n, "hello there, how are you")
						batch[i] = store.InboundRecord{Seq: l.LastSeq + 1 + uint64(i), Event: &ev}
					}
					if _, err := w.db.StoreBatch(ctx, l, batch); err != nil {
						b.Fatal(err)
					}
				}
				for n < 20000 {
					one()
				}
				start := n
				b.ResetTimer()
				for b.Loop() {
					one()
				}
				b.ReportMetric(float64(n-start)/b.Elapsed().Seconds(), "msg/s")
				b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(n-start), "us/msg")
			})
		}
	}
}
