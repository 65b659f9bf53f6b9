package gateway

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"parley/events"
)

// leases is how many channels a replica holds.
func (r *rig) leases() int {
	r.share.mu.Lock()
	defer r.share.mu.Unlock()
	return r.share.held
}

// Replicas share the channels, whoever comes and goes, and every channel has one.
func TestReplicasShareChannels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		const channels = 7
		for i := range channels {
			ch := pollingChannel()
			ch.ID = events.ChannelID(fmt.Sprintf("22222222-2222-4222-8222-00000000000%d", i))
			ch.WebhookPath += ch.WebhookPath[:i]
			bus.put(ch)
		}
		rest := pollingChannel()
		rest.Paused = true
		bus.put(rest)
		var rigs []*rig
		var stops []func() error
		start := func() {
			r := newRig(t, bus, nil)
			rigs, stops = append(rigs, r), append(stops, r.run(t))
		}
		check := func(when string, most int) {
			t.Helper()
			advance(2 * time.Minute)
			sum := 0
			for i, r := range rigs {
				n := r.leases()
				if sum += n; n > most {
					t.Errorf("%s: replica %d holds %d, more than %d", when, i, n, most)
				}
			}
			if sum != channels || bus.leased() != channels {
				t.Errorf("%s: %d of %d channels are held, %d by the bus", when, sum, channels, bus.leased())
			}
		}
		start()
		check("one replica", channels)
		start()
		check("two", 4)
		start()
		check("three", 3)
		if err := stops[0](); err != nil {
			t.Fatal(err)
		}
		if n := rigs[0].leases(); n != 0 {
			t.Errorf("it left and holds %d", n)
		}
		check("the first left", 4)
		start()
		start()
		check("four", 2)
		for _, stop := range stops[1:4] {
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		}
		check("one is left", channels)
	})
}
