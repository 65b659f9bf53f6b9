package jetstream

import (
	"context"
	"encoding/json"
	"errors"

	"parley/events"
)

// FactLog publishes each fact once: what another process stored meanwhile, or what
// an answer that never came left in doubt, is looked up in the stream before
// anything else is published. It has one user at a time, who keeps facts in a
// place of their own until [FactLog.Settle].
type FactLog struct {
	bus *Bus
	// after is where the stream ended when we last knew, known whether we do.
	after uint64
	known bool
	// stored are the ids of facts that are in the stream and not settled.
	stored map[int64]bool
}

// lookBack is how many facts of another process may have been published and not
// settled: it published no more than what it read at once, a hundred rows with the
// facts of at most 500 messages each.
const lookBack = 50_000

// FactLog makes one. Several may exist; one that fell behind another notices.
func (b *Bus) FactLog() *FactLog { return &FactLog{bus: b, stored: map[int64]bool{}} }

// Publish stores those of the facts that are not in the stream yet, in the order
// given. On error some may be stored: publish all again. Errors are those of
// [Bus.Publish].
func (l *FactLog) Publish(ctx context.Context, facts []events.Fact) error {
	for {
		if err := l.sync(ctx); err != nil {
			return err
		}
		missing := facts
		if len(l.stored) > 0 {
			missing = nil
			for _, f := range facts {
				if !l.stored[f.ID] {
					missing = append(missing, f)
				}
			}
		}
		entries, err := factEntries(missing)
		if err != nil {
			return err
		}
		err = l.bus.facts.publishAfter(ctx, entries, &l.after)
		if err == nil {
			for _, f := range missing {
				l.stored[f.ID] = true
			}
			return nil
		}
		l.known = false
		if !errors.Is(err, errMoved) {
			return err
		}
	}
}

// Settle says that what was published will not come again.
func (l *FactLog) Settle() { clear(l.stored) }

// sync reads what was stored since we last knew.
func (l *FactLog) sync(ctx context.Context) error {
	if l.known {
		return nil
	}
	info, err := l.bus.streamInfo(ctx, factStream)
	if err != nil {
		return err
	}
	first, last := info.State.FirstSeq, info.State.LastSeq
	from := l.after + 1
	if last < l.after || l.after == 0 || last-l.after > lookBack {
		from = max(first, last-min(last, lookBack)+1)
	}
	if from <= last {
		err = scan(ctx, l.bus, factStream, "", from, last, func(m stored) error {
			var f struct {
				ID json.Number `json:"id"`
			}
			if json.Unmarshal(m.data, &f) == nil {
				if id, err := f.ID.Int64(); err == nil {
					l.stored[id] = true
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	l.after, l.known = last, true
	return nil
}
