package store_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/store"
	"parley/store/outboundtest"
)

var sharedHits = regexp.MustCompile(`Buffers: shared hit=(\d+)`)

// However much waits, and in whatever shape, a turn reads what it claims and
// little else.
func TestLookingForWorkStaysCheap(t *testing.T) {
	t.Parallel()
	const messages = 5000
	tests := []struct {
		name         string
		lanes, deep  int
		prepare      func(*outboundtest.World)
		heads, pages int
	}{
		{"many lanes", messages, 1, nil, 64, 64 * 40},
		{"deep lanes", 10, messages / 10, nil, 10, 10 * 60},
		{"one lane", 1, messages, nil, 1, 100},
		{"one lane, mostly sent", 1, messages, func(w *outboundtest.World) {
			w.Exec("UPDATE parley_deliveries SET state = 'sent' WHERE id <= (SELECT min(id) + $1 FROM parley_deliveries)", messages*9/10)
		}, 1, 200},
		// The pages are those of what the lanes were before: the index keeps it until
		// it is cleaned.
		{"one due among many that wait", messages, 1, func(w *outboundtest.World) {
			w.Exec("UPDATE parley_lanes SET due_at = now() + interval '1 h' WHERE lane <> 'p77'")
			w.Exec("UPDATE parley_deliveries SET due_at = now() + interval '1 h' WHERE lane <> 'p77'")
		}, 1, 500},
		{"all behind heads that wait", 10, messages / 10, func(w *outboundtest.World) {
			w.Exec("UPDATE parley_lanes SET due_at = now() + interval '1 h' WHERE lane <> 'p7'")
			w.Exec("UPDATE parley_deliveries d SET due_at = now() + interval '1 h' WHERE lane <> 'p7' AND id = (SELECT min(id) FROM parley_deliveries x WHERE x.lane = d.lane)")
		}, 1, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := outboundtest.New(t)
			ch := w.Channel(events.SMS)
			w.People(ch.ID, "p", tt.lanes)
			w.Queue(ch.ID, "hello", outboundtest.Addresses("p", tt.lanes, tt.deep)...)
			if tt.prepare != nil {
				tt.prepare(w)
			}
			o := own(t, w, ch.ID)
			var plan string
			// The first look marks what is dead in the indexes.
			for range 2 {
				var err error
				plan, err = w.DB.ExplainHeads(t.Context(), o.lease, ch.ID, store.LaneCursor{}, 64, tt.deep == 1)
				if err != nil {
					t.Fatal(err)
				}
			}
			hits := sharedHits.FindStringSubmatch(plan)
			if hits == nil {
				t.Fatalf("no buffers in the plan:\n%s", plan)
			}
			pages, _ := strconv.Atoi(hits[1])
			rows := regexp.MustCompile(fmt.Sprintf(`rows=%d(\.00)? loops=1`, tt.heads)) // with decimals since PostgreSQL 18
			if top, _, _ := strings.Cut(plan, "\n"); !rows.MatchString(top) {
				t.Errorf("not %d heads: %s", tt.heads, top)
			}
			if pages > tt.pages || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Bitmap") {
				t.Errorf("it read %d pages, more than %d, or scanned:\n%s", pages, tt.pages, plan)
			}
		})
	}
}

// BenchmarkTurn claims and settles in the shapes that a queue takes.
func BenchmarkTurn(b *testing.B) {
	for _, s := range []struct{ lanes, deep, limit int }{{1000, 20, 64}, {20_000, 1, 64}, {1, 20_000, 64}} {
		b.Run(fmt.Sprintf("lanes=%d", s.lanes), func(b *testing.B) {
			w := outboundtest.New(b)
			ch := w.Channel(events.SMS)
			w.People(ch.ID, "p", s.lanes)
			for range s.deep {
				w.Queue(ch.ID, "hello", outboundtest.Addresses("p", s.lanes, 1)...)
			}
			lease, _, err := w.DB.AcquireLease(b.Context(), "dispatch:"+string(ch.ID), "bench", time.Hour)
			if err != nil {
				b.Fatal(err)
			}
			t := store.DispatchTurn{Lease: lease, Channel: ch.ID, Limit: s.limit, Hold: time.Minute}
			claimed, turns := 0, 0
			for b.Loop() {
				res, err := w.DB.Dispatch(b.Context(), t, accept)
				if err != nil {
					b.Fatal(err)
				}
				t.After, t.Settling = res.Last, settledAll(ch.ID, &res)
				claimed += len(res.Heads)
				turns++
				if len(res.Heads) == 0 {
					break // all of it
				}
			}
			b.ReportMetric(float64(claimed)/b.Elapsed().Seconds(), "messages/s")
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(turns), "ms/turn")
		})
	}
}

// settledAll says that everything a turn claimed was sent.
func settledAll(ch events.ChannelID, res *store.DispatchResult) []store.Settlement {
	list := make([]store.Settlement, len(res.Heads))
	for i, h := range res.Heads {
		list[i] = store.Settlement{
			AttemptKey: store.AttemptKey{Delivery: h.ID, Part: h.PartsSent, Attempt: h.Attempt},
			Channel:    ch, Lane: h.Lane, Outcome: store.AttemptSent, To: "sent",
			ProviderChat: h.Lane, ProviderID: fmt.Sprint(h.ID),
		}
	}
	return list
}
