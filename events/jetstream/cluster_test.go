package jetstream_test

import (
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"parley/events/jetstream"
)

// cluster starts three servers that replicate.
func cluster(t *testing.T) []*server.Server {
	t.Helper()
	// Each must know the others' ports before it starts.
	var routes []*url.URL
	var ports []int
	var listeners []net.Listener
	for range 3 {
		l, err := (&net.ListenConfig{}).Listen(within(t), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		listeners = append(listeners, l)
	}
	for _, l := range listeners {
		_ = l.Close()
	}
	var all []*server.Server
	for i := range 3 {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprint("node", i), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, NoLog: true, NoSigs: true,
			JetStreamMaxStore: 64 << 30, JetStreamMaxMemory: 64 << 20,
			Cluster: server.ClusterOpts{Name: "parley", Host: "127.0.0.1", Port: ports[i]},
			Routes:  routes,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() {
			s.Shutdown()
			s.WaitForShutdown()
		})
		all = append(all, s)
	}
	for _, s := range all {
		if !s.ReadyForConnections(30 * time.Second) {
			t.Fatal("a server does not start")
		}
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	ctx := within(t)
	for !electedLeader(all) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("no leader is elected")
		}
	}
	return all
}

func electedLeader(nodes []*server.Server) bool {
	for _, n := range nodes {
		if n.JetStreamIsLeader() && len(n.JetStreamClusterPeers()) == len(nodes) {
			return true
		}
	}
	return false
}

// A replicated partition loses and reorders nothing when its leader goes.
func TestClusterLosesItsLeader(t *testing.T) {
	t.Parallel()
	nodes := cluster(t)
	urls := nodes[0].ClientURL() + "," + nodes[1].ClientURL() + "," + nodes[2].ClientURL()
	b, err := jetstream.Open(within(t), jetstream.Options{URL: urls, Partitions: 1, Replicas: 3, MaxBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	r, err := b.Reader(within(t), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const callers, each = 32, 20
	halfway := make(chan struct{}, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				for b.Publish(within(t), event(fmt.Sprint("p", c), i)) != nil {
					if t.Context().Err() != nil {
						return
					}
				}
				if i == each/2 {
					halfway <- struct{}{}
				}
			}
		})
	}
	go func() {
		for range callers / 2 {
			<-halfway
		}
		for _, n := range nodes {
			if n.JetStreamIsStreamLeader("$G", "PARLEY_IN_00") {
				n.Shutdown()
				return
			}
		}
	}()
	next, o := map[string]int{}, order{}
	for missing := callers * each; missing > 0; {
		recs, err := r.Next(within(t), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range recs {
			o.check(t, rec)
			who := rec.Event.Person.Identity.Value
			switch {
			case rec.Event.Key.Message == fmt.Sprint(next[who]):
				next[who]++
				missing--
			case next[who] == 0 || rec.Event.Key.Message != fmt.Sprint(next[who]-1): // a retry repeats the last
				t.Fatalf("%s: %s instead of %d", who, rec.Event.Key.Message, next[who])
			}
		}
	}
	wg.Wait()
}

// Whoever is not told how many replicas there are changes nothing; whoever is, does.
func TestReplicas(t *testing.T) {
	t.Parallel()
	nodes := cluster(t)
	replicas := func(told, want int) {
		t.Helper()
		b, err := jetstream.Open(within(t), jetstream.Options{URL: nodes[0].ClientURL(), Partitions: 1, Replicas: told, MaxBytes: 64 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		all, err := b.Usage(within(t))
		if err != nil || len(all) == 0 {
			t.Fatalf("%v, %v", all, err)
		}
		for _, s := range all {
			if s.Replicas != want {
				t.Errorf("told %d, %s has %d replicas, not %d", told, s.Stream, s.Replicas, want)
			}
		}
	}
	replicas(0, 1)
	replicas(3, 3)
	replicas(0, 3)
	e, err := jetstream.Examine(within(t), jetstream.Options{URL: nodes[1].ClientURL()})
	if err != nil || e.Cluster != "parley" {
		t.Errorf("examined as %+v, %v", e, err)
	}
	for _, o := range []jetstream.Options{{URL: "nats://127.0.0.1:1", Replicas: 2}, {Embedded: &jetstream.Embedded{}, Replicas: 3}} {
		if _, err := jetstream.Open(within(t), o); err == nil {
			t.Errorf("%d replicas are accepted", o.Replicas)
		}
	}
}
