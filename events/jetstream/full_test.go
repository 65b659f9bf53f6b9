package jetstream_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
)

// fill publishes until the bus refuses, and returns how many it accepted.
func fill(t *testing.T, b *jetstream.Bus, from int) int {
	t.Helper()
	for n := from; ; n++ {
		ev := event("ann", n)
		ev.Content.Text = strings.Repeat("words ", 500)
		err := b.Publish(within(t), ev)
		if errors.Is(err, jetstream.ErrBackPressure) {
			return n
		}
		if err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
	}
}

// A full inbound stream refuses what clients write and nothing else: cursors,
// channels, leases, health and facts still find room. Facts are a window: the oldest
// go, and whoever was behind is told. Room for inbound lets it go on.
func TestFullStreamsLeaveOthersAlone(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one, func(o *jetstream.Options) {
		o.Room, o.MaxBytes = 1<<20, 0
		o.Retention = time.Hour
	})
	accepted := fill(t, b, 0)
	if n := count(t, b); n != accepted || accepted == 0 {
		t.Fatalf("%d accepted, %d stored", accepted, n)
	}
	use := streamUse(t, b, "PARLEY_IN_00")
	if use.MaxBytes != 1<<20 || use.Bytes < use.MaxBytes*9/10 {
		t.Errorf("it is full at %d of %d", use.Bytes, use.MaxBytes)
	}
	id := events.ChannelID("018f0000-0000-7000-8000-00000000000c")
	if err := b.SetCursor(within(t), id, "17"); err != nil {
		t.Errorf("a cursor: %v", err)
	}
	if err := b.PutChannel(within(t), events.Channel{ID: id, Version: 1}); err != nil {
		t.Errorf("a channel: %v", err)
	}
	if err := b.PutHealth(within(t), events.ChannelHealth{Channel: id}); err != nil {
		t.Errorf("health: %v", err)
	}
	if _, err := b.AcquireLease(within(t), "poll", "us", time.Minute); err != nil {
		t.Errorf("a lease: %v", err)
	}
	if err := b.PutErasure(within(t), jetstream.Erasure{ID: "1", Tenant: tenant}); err != nil {
		t.Errorf("an erasure: %v", err)
	}

	if err := b.PublishFacts(within(t), []events.Fact{fact(1, tenant, 1)}); err != nil {
		t.Fatal(err)
	}
	first, err := b.FactsEnd(within(t))
	if err != nil {
		t.Fatal(err)
	}
	written := int64(1)
	for use := streamUse(t, b, jetstream.FactStream); use.Messages == uint64(written); use = streamUse(t, b, jetstream.FactStream) {
		var facts []events.Fact
		for range 200 {
			written++
			facts = append(facts, fact(written, tenant, 1))
		}
		if err := b.PublishFacts(within(t), facts); err != nil {
			t.Fatalf("facts after %d: %v", written, err)
		}
	}
	if use := streamUse(t, b, jetstream.FactStream); use.MaxBytes != 256<<10 || use.Bytes > use.MaxBytes {
		t.Errorf("facts take %d of %d", use.Bytes, use.MaxBytes)
	}
	late, err := b.Facts(within(t), jetstream.FactOptions{Tenant: tenant, After: first})
	if err == nil {
		_, err = late.Next(within(t), 1)
		late.Close()
	}
	if !errors.Is(err, jetstream.ErrReset) {
		t.Errorf("who reads facts that are gone is told %v", err)
	}
	if n := count(t, b); n != accepted {
		t.Errorf("%d of %d events are left", n, accepted)
	}
}

// A lower limit drops nothing, whoever holds more refuses; a higher one lets it go on.
func TestLimitsChangeWithoutLoss(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	open := func(room int64) *jetstream.Bus {
		return s.Embedded(t, one, func(o *jetstream.Options) { o.Room, o.MaxBytes = room, 0 })
	}
	b := open(2 << 20)
	accepted := fill(t, b, 0)
	b.Close()
	b = open(1 << 20)
	if n := count(t, b); n != accepted {
		t.Fatalf("%d of %d events are left", n, accepted)
	}
	if err := b.Publish(within(t), event("ann", accepted)); !errors.Is(err, jetstream.ErrBackPressure) {
		t.Errorf("above its limit it says %v", err)
	}
	b.Close()
	b = open(4 << 20)
	if more := fill(t, b, accepted); more < accepted*3/2 {
		t.Errorf("%d with twice the room, %d before", more, accepted)
	} else {
		accepted = more
	}
	for i, r := range read(t, b, 0, accepted) {
		if r.Event.Key.Message != strconv.Itoa(i) {
			t.Fatalf("record %d is message %s", i, r.Event.Key.Message)
		}
	}
}

func streamUse(t *testing.T, b *jetstream.Bus, name string) jetstream.StreamUse {
	t.Helper()
	all, err := b.Usage(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range all {
		if u.Stream == name {
			return u
		}
	}
	t.Fatalf("there is no stream %s", name)
	return jetstream.StreamUse{}
}
