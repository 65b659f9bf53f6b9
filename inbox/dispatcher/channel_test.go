package dispatcher_test

import (
	"testing"
	"time"

	"parley/events"
	"parley/inbox/dispatcher"
	"parley/store/outboundtest"
)

// A channel that is added, paused or resumed is noticed by itself: the first
// reply does not wait for the next look at all channels.
func TestChannelsAreNoticedAtOnce(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	p := newProvider()
	dispatch(w, p, func(o *dispatcher.Options) { o.PollEvery, o.RefreshEvery = time.Hour, time.Hour })

	first := w.Channel(events.SMS)
	w.People(first.ID, "a", 1)
	w.Queue(first.ID, "one", "a1")
	w.Until("the first is sent", func() bool { return p.count() == 1 })

	second := w.Channel(events.SMS)
	w.People(second.ID, "b", 1)
	w.Queue(second.ID, "two", "b1")
	w.Until("the second channel's is sent", func() bool { return p.count() == 2 })

	pause := func(sql string) {
		w.Exec("UPDATE parley_channels SET paused_at = "+sql+", version = version + 1 WHERE id = $1", string(second.ID))
	}
	pause("now()")
	w.Until("the paused channel is given away", func() bool {
		var held bool
		w.Row("SELECT EXISTS (SELECT FROM parley_leases WHERE name = 'dispatch:' || $1 AND lease_until > clock_timestamp())", []any{string(second.ID)}, &held)
		return !held
	})
	w.Queue(second.ID, "three", "b1")
	pause("NULL")
	w.Until("what waited is sent", func() bool { return p.count() == 3 })
}
