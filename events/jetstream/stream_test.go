package jetstream_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
)

// These values may never change: people would move to other partitions.
func TestPartitionNeverChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		who  events.Identity
		want [3]int // of 4, 16 and 64
	}{
		{events.Identity{Kind: events.TelegramUser, Value: "123456789"}, [3]int{0, 0, 32}},
		{events.Identity{Kind: events.Phone, Value: "+4915112345678"}, [3]int{3, 11, 11}},
		{events.Identity{Kind: events.EmailAddress, Value: "ann@example.com"}, [3]int{2, 2, 2}},
		{events.Identity{}, [3]int{0, 8, 40}},
	} {
		var got [3]int
		for i, n := range []int{4, 16, 64} {
			got[i] = jetstream.Partition(tenant, c.who, n)
		}
		if got != c.want {
			t.Errorf("%v: %v, want %v", c.who, got, c.want)
		}
	}
	if got := jetstream.Partition(tenant, events.Identity{Kind: "a", Value: "b"}, 1); got != 0 {
		t.Errorf("of one partition: %d", got)
	}
}

func TestOtherPartitionCountIsRefused(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	s.Dial(t, func(o *jetstream.Options) { o.Partitions = 4 }).Close()
	for _, n := range []int{2, 8} {
		b, err := jetstream.Open(within(t), jetstream.Options{URL: s.URL(), Partitions: n})
		if err == nil {
			b.Close()
		}
		if !errors.Is(err, jetstream.ErrPartitions) || !strings.Contains(err.Error(), "set the partitions back to 4") {
			t.Errorf("%d: %v", n, err)
		}
	}
	s.Dial(t, func(o *jetstream.Options) { o.Partitions = 4 })
}

// A count that nobody chose is the streams' own, else what suits the server.
func TestPartitionCountIsFound(t *testing.T) {
	t.Parallel()
	unset := func(o *jetstream.Options) { o.Partitions = 0 }
	external := natstest.Serve(t)
	if n := external.Dial(t, unset).Partitions(); n != 4 {
		t.Errorf("a new external server got %d partitions, want 4", n)
	}
	made := natstest.Serve(t)
	made.Dial(t, func(o *jetstream.Options) { o.Partitions = 7 }).Close()
	if n := made.Dial(t, unset).Partitions(); n != 7 {
		t.Errorf("found %d partitions, want the 7 that were made", n)
	}
	embedded := natstest.Serve(t)
	if n, want := embedded.Embedded(t, unset).Partitions(), min(max(runtime.GOMAXPROCS(0), 2), 16); n != want {
		t.Errorf("a new embedded server got %d partitions, want %d", n, want)
	}
}

// Limits follow the options; an operator's own settings stay.
func TestExistingStreams(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	s.Dial(t, one).Close()
	js := client(t, s)
	stream, err := js.Stream(within(t), "PARLEY_IN_00")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.Description = "ours"
	if _, err := js.UpdateStream(within(t), cfg); err != nil {
		t.Fatal(err)
	}
	s.Dial(t, one, func(o *jetstream.Options) { o.MaxBytes = 1 << 20 })
	info, err := stream.Info(within(t))
	if err != nil || info.Config.MaxBytes != 1<<20 || info.Config.Description != "ours" {
		t.Errorf("%+v, %v", info.Config, err)
	}

	if err := js.DeleteStream(within(t), "PARLEY_FACTS"); err != nil {
		t.Fatal(err)
	}
	cfg.Name, cfg.Subjects = "PARLEY_FACTS", []string{"something.else"}
	if _, err := js.CreateStream(within(t), cfg); err != nil {
		t.Fatal(err)
	}
	if b, err := jetstream.Open(within(t), jetstream.Options{URL: s.URL(), Partitions: 1}); err == nil || !strings.Contains(err.Error(), "PARLEY_FACTS exists") {
		b.Close()
		t.Errorf("a foreign stream was taken: %v", err)
	}
}

func TestStreamStateSurvivesRestart(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b := s.Embedded(t, one)
	empty := state(t, b)
	if empty.FirstSeq != 1 || empty.LastSeq != 0 || !empty.Oldest.IsZero() || empty.Identity == "" {
		t.Errorf("empty: %+v", empty)
	}
	mustPublish(t, b, event("ann", 1))
	mustPublish(t, b, event("ann", 2), event("ann", 3))
	before := state(t, b)
	b.Close()
	s.Stop(t)
	s.Start(t)
	b = s.Embedded(t, one)
	if after := state(t, b); after != before {
		t.Errorf("was %+v, is %+v", before, after)
	}
	if before.FirstSeq != 1 || before.LastSeq != 2 || before.Messages != 2 || before.Oldest.IsZero() || before.Name != "PARLEY_IN_00" {
		t.Errorf("%+v", before)
	}
	if got := read(t, b, 0, 3); got[2].Event.ID != "ann-3" || got[2].Seq != 2 {
		t.Errorf("read %s at %s", got[2].Event.ID, place(got[2]))
	}
}

// Nothing goes that is not below the checkpoint and past retention.
func TestPurge(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one, func(o *jetstream.Options) { o.Retention = time.Hour })
	now := time.Now()
	b.SetClock(func() time.Time { return now })
	for i := range 10 {
		mustPublish(t, b, event("ann", i))
	}
	recs := read(t, b, 0, 10)
	for _, c := range []struct {
		name      string
		below     uint64
		olderThan time.Duration
		now       time.Time
		first     uint64
	}{
		{"all are young", 11, time.Minute, now, 1},
		{"retention outranks a shorter age", 11, time.Minute, now.Add(59 * time.Minute), 1},
		{"a longer age outranks retention", 11, 3 * time.Hour, now.Add(2 * time.Hour), 1},
		{"old but not below", 1, 0, now.Add(2 * time.Hour), 1},
		{"nothing at all is below 0", 0, 0, now.Add(2 * time.Hour), 1},
		{"below counts", 4, 0, now.Add(2 * time.Hour), 4},
		{"age counts: the seventh is as old as retention", 11, 0, recs[6].StoredAt.Add(time.Hour), 7},
		{"all", 99, 0, now.Add(2 * time.Hour), 11},
		{"nothing is left", 99, 0, now.Add(2 * time.Hour), 11},
	} {
		b.SetClock(func() time.Time { return c.now })
		before := state(t, b).FirstSeq
		n, err := b.Purge(within(t), 0, c.below, c.olderThan)
		if got := state(t, b).FirstSeq; err != nil || got != c.first || n != got-before {
			t.Errorf("%s: begins at %d, %d went, %v; want %d", c.name, got, n, err, c.first)
		}
	}
	mustPublish(t, b, event("ann", 11))
	if got := read(t, b, 4, 1); got[0].Seq != 11 {
		t.Errorf("the next record is %d", got[0].Seq)
	}
	if _, err := b.Purge(within(t), 1, 5, 0); !errors.Is(err, jetstream.ErrInvalid) {
		t.Errorf("partition 1: %v", err)
	}
}

// The server reads a block of megabytes for each message that is looked at: a long
// stream of which nothing is old must cost nothing, and one of which little is, little.
func TestPurgeLooksAtLittle(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	now := time.Now()
	b := s.Embedded(t, one, func(o *jetstream.Options) { o.Retention = time.Hour })
	for i := range 300 {
		mustPublish(t, b, event("ann", i))
	}
	recs := read(t, b, 0, 300)
	conn := client(t, s).Conn()
	looks, err := conn.SubscribeSync("$JS.API.STREAM.MSG.GET.PARLEY_IN_00")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		now    time.Time
		first  uint64
		atMost int
	}{
		{now, 1, 0}, {recs[2].StoredAt.Add(time.Hour), 3, 4}, {recs[299].StoredAt.Add(2 * time.Hour), 301, 20},
	} {
		b.SetClock(func() time.Time { return c.now })
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		before, _, err := looks.Pending()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Purge(within(t), 0, 301, 0); err != nil {
			t.Fatal(err)
		}
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		after, _, err := looks.Pending()
		if first := state(t, b).FirstSeq; err != nil || first != c.first || after-before > c.atMost {
			t.Errorf("it begins at %d, want %d, after %d looks, want %d at most; %v", first, c.first, after-before, c.atMost, err)
		}
	}
	if all, _, _ := looks.Pending(); all == 0 {
		t.Error("no look was seen")
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for v, ok := range map[string]bool{"2.15.0": true, "v2.15.2": true, "2.16.0-dev": true, "3.0.0": true, "2.14.9": false, "1.99.0": false, "": false, "x": false} {
		if err := jetstream.CheckVersion(v); (err == nil) != ok || err != nil && !errors.Is(err, jetstream.ErrVersion) {
			t.Errorf("%q: %v", v, err)
		}
	}
}

func TestPasswordsStayOutOfLogs(t *testing.T) {
	t.Parallel()
	got := jetstream.Redact("nats://ann:secret@a:4222, tls://token@b, nats://c, nats://%zz:secret@d")
	if strings.Contains(got, "secret") || strings.Contains(got, "token") || !strings.Contains(got, "a:4222") {
		t.Error(got)
	}
}

// Open waits for a server that is not there yet, until its context ends.
func TestOpenWaits(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	url := s.URL()
	s.Stop(t)
	ctx, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
	defer cancel()
	if _, err := jetstream.Open(ctx, jetstream.Options{URL: url}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	type result struct {
		b   *jetstream.Bus
		err error
	}
	opened := make(chan result, 1)
	waiting := &signalHandler{signal: make(chan struct{})}
	go func() {
		b, err := jetstream.Open(within(t), jetstream.Options{URL: url, Partitions: 1, Logger: waiting.logger()})
		opened <- result{b, err}
	}()
	<-waiting.signal
	s.Start(t)
	r := <-opened
	if r.err != nil {
		t.Fatal(r.err)
	}
	mustPublish(t, r.b, event("ann", 1))
	r.b.Close()

	wrong := strings.Replace(url, "parley:", "parley:wrong", 1)
	if _, err := jetstream.Open(within(t), jetstream.Options{URL: wrong}); err == nil || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong password: %v", err)
	}
}
