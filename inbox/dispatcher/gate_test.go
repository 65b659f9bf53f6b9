package dispatcher

import (
	"reflect"
	"testing"
	"time"

	"parley/events"
	"parley/store"
	"parley/transports"
)

func newTestGate(said *[]events.HealthState) *gate {
	o := &Options{RetryFirst: time.Second, RetryMost: time.Minute, ProbeEvery: time.Minute}
	return newGate(o, func(s events.HealthState, _ string) { *said = append(*said, s) })
}

func TestGateHoldsAThrottledAccountBack(t *testing.T) {
	t.Parallel()
	var said []events.HealthState
	g := newTestGate(&said)
	now := time.Unix(1000, 0)
	g.answered()
	g.throttled(now, 30*time.Second)
	g.throttled(now, 10*time.Second) // a shorter wish of another answer
	if n := g.allow(now.Add(30*time.Second-1), 64, 0); n != 0 {
		t.Errorf("too early it lets %d through", n)
	}
	if n := g.allow(now.Add(30*time.Second), 64, 10); n != 64 {
		t.Errorf("then it lets %d through", n)
	}
	if !reflect.DeepEqual(said, []events.HealthState{events.Connected}) {
		t.Errorf("health %v", said)
	}
}

func TestGateProbesAnOutageWithOneMessage(t *testing.T) {
	t.Parallel()
	var said []events.HealthState
	g := newTestGate(&said)
	now := time.Unix(1000, 0)
	g.answered()
	for range outageAfter - 1 {
		g.failed(now, "down")
	}
	if n := g.allow(now, 64, 0); n != 64 {
		t.Fatalf("after a few failures it lets %d through", n)
	}
	g.failed(now, "down")
	first := g.opensAt
	// Those that were under way already do not count as probes.
	g.failed(now, "down")
	if g.opensAt != first || g.allow(now, 64, 0) != 0 {
		t.Errorf("it opens at %s, then %s", first, g.opensAt)
	}
	now = first
	if n := g.allow(now, 64, 0); n != 1 {
		t.Errorf("it probes with %d", n)
	}
	if n := g.allow(now, 64, 1); n != 0 {
		t.Errorf("it probes with %d more", n)
	}
	g.failed(now, "down")
	if wait := g.opensAt.Sub(now); wait < time.Second {
		t.Errorf("after a failed probe it waits for %s", wait)
	}
	g.answered()
	if n := g.allow(g.opensAt, 64, 5); n != 64 {
		t.Errorf("after an answer it lets %d through", n)
	}
	if want := []events.HealthState{events.Connected, events.Degraded, events.Connected}; !reflect.DeepEqual(said, want) {
		t.Errorf("health %v, want %v", said, want)
	}
}

func TestGateWithRefusedCredentials(t *testing.T) {
	t.Parallel()
	var said []events.HealthState
	g := newTestGate(&said)
	now := time.Unix(1000, 0)
	g.refused(now, "revoked")
	if n := g.allow(now.Add(40*time.Second), 64, 0); n != 0 {
		t.Errorf("it lets %d through", n)
	}
	if n := g.allow(now.Add(2*time.Minute), 64, 0); n != 1 {
		t.Errorf("it probes with %d", n)
	}
	g.failed(now.Add(2*time.Minute), "down") // which is not the news
	g.reset()
	if n := g.allow(now, 64, 0); n != 64 {
		t.Errorf("once changed it lets %d through", n)
	}
	if want := []events.HealthState{events.NeedsAttention}; !reflect.DeepEqual(said, want) {
		t.Errorf("health %v, want %v", said, want)
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	r := newRates(transports.Capabilities{
		Rate:       transports.Rate{Messages: 10, Per: time.Second, Burst: 3},
		PersonRate: transports.Rate{Messages: 1, Per: time.Second, Burst: 2},
	})
	now := time.Unix(1000, 0)
	if n, _ := r.allow(now, 64); n != 3 {
		t.Fatalf("at first it allows %d", n)
	}
	for range 2 {
		if wait := r.person(now, "a"); wait != 0 {
			t.Errorf("the person must wait %s", wait)
		}
		r.take(now, "a")
	}
	if wait := r.person(now, "a"); wait != time.Second {
		t.Errorf("after the burst the person must wait %s", wait)
	}
	if wait := r.person(now, "b"); wait != 0 {
		t.Errorf("another must wait %s", wait)
	}
	r.take(now, "b")
	if n, wait := r.allow(now, 64); n != 0 || wait != 100*time.Millisecond {
		t.Errorf("then it allows %d, in %s", n, wait)
	}
	if n, _ := r.allow(now.Add(100*time.Millisecond), 64); n != 1 {
		t.Errorf("later it allows %d", n)
	}
	if n, _ := newRates(transports.Capabilities{}).allow(now, 64); n != 64 {
		t.Errorf("without limits it allows %d", n)
	}
}

func TestPersonsAreForgotten(t *testing.T) {
	t.Parallel()
	r := newRates(transports.Capabilities{PersonRate: transports.Rate{Messages: 1, Per: time.Second}})
	now := time.Unix(1000, 0)
	for i := range 5 * maxPersons {
		now = now.Add(time.Millisecond)
		r.take(now, time.Duration(i).String())
	}
	if n := len(r.persons); n > maxPersons {
		t.Errorf("%d persons are remembered", n)
	}
}

func TestFairShare(t *testing.T) {
	t.Parallel()
	for channels := range 20 {
		for dispatchers := range 6 {
			n := fairShare(channels, dispatchers)
			if n*max(dispatchers, 1) < channels || n > 0 && (n-1)*max(dispatchers, 1) >= channels {
				t.Errorf("%d channels for %d dispatchers: %d each", channels, dispatchers, n)
			}
		}
	}
}

func TestFreeChannelsAreAskedForInDifferentOrders(t *testing.T) {
	t.Parallel()
	wanted := make(map[events.ChannelID]events.Channel)
	for _, id := range []events.ChannelID{"a", "b", "c", "d"} {
		wanted[id] = events.Channel{ID: id}
	}
	seen := make(map[events.ChannelID]bool)
	for _, owner := range []string{"1", "2", "3", "4", "5", "6"} {
		list := free(wanted, []store.Lease{{Name: channelLease + "b"}})
		rotate(list, owner)
		if len(list) != 3 {
			t.Fatalf("free are %v", list)
		}
		seen[list[0].ID] = true
	}
	if len(seen) != 3 {
		t.Errorf("all begin with %v", seen)
	}
}

func TestWaits(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 1000: time.Minute} {
		got := waitAfter(attempts, time.Second, time.Minute)
		if got < want*7/10 || got > want*13/10 {
			t.Errorf("after %d attempts it waits %s, want about %s", attempts, got, want)
		}
	}
	for range 100 {
		if got := honoured(time.Minute); got < time.Minute || got > 66*time.Second {
			t.Errorf("asked for a minute it waits %s", got)
		}
	}
	if got := honoured(1000 * time.Hour); got > 27*time.Hour {
		t.Errorf("asked for weeks it waits %s", got)
	}
}
