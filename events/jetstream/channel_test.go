package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
)

func channel(id string, version int64) events.Channel {
	return events.Channel{ID: events.ChannelID(id), Tenant: tenant, Name: fmt.Sprint(id, " v", version), Version: version}
}

func names(t testing.TB, b *jetstream.Bus) string {
	t.Helper()
	all, err := b.Channels(within(t))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range all {
		out = append(out, c.Name)
	}
	return fmt.Sprintf("%q", out)
}

// However writers race, the newest version stays.
func TestChannelVersionsRace(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	var wg sync.WaitGroup
	for v := range int64(20) {
		wg.Go(func() {
			if err := b.PutChannel(within(t), channel("a", v+1)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := names(t, b); got != `["a v20"]` {
		t.Errorf("have %s", got)
	}
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return b.PutChannel(within(t), channel("b", 1)) }, `["a v20" "b v1"]`},
		{func() error { return b.DeleteChannel(within(t), "a", 19) }, `["a v20" "b v1"]`},
		{func() error { return b.DeleteChannel(within(t), "a", 20) }, `["b v1"]`},
		{func() error { return b.PutChannel(within(t), channel("a", 20)) }, `["b v1"]`},
		{func() error { return b.DeleteChannel(within(t), "c", 5) }, `["b v1"]`},
		{func() error { return b.PutChannel(within(t), channel("c", 4)) }, `["b v1"]`},
		{func() error { return b.PutChannel(within(t), channel("a", 21)) }, `["a v21" "b v1"]`},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := names(t, b); got != step.want {
			t.Errorf("have %s, want %s", got, step.want)
		}
	}
	if err := b.PutChannel(within(t), channel("not a key", 1)); !errors.Is(err, jetstream.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestWatchChannels(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b := s.Dial(t, one)
	put := func(c events.Channel) {
		t.Helper()
		for b.PutChannel(within(t), c) != nil { // until the connection is back
			if t.Context().Err() != nil {
				t.Fatal("never put")
			}
		}
	}
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	watch := func() <-chan jetstream.ChannelChange {
		t.Helper()
		changes, err := b.WatchChannels(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return changes
	}
	expect := func(changes <-chan jetstream.ChannelChange, want string) {
		t.Helper()
		c := <-changes
		got := fmt.Sprintf("%s %s ready=%v deleted=%v", c.Channel.ID, c.Channel.Name, c.Ready, c.Deleted)
		if got != want || c.Err != nil {
			t.Errorf("got  %q, %v\nwant %q", got, c.Err, want)
		}
	}
	early := watch()
	expect(early, "  ready=true deleted=false")
	put(channel("a", 1))
	expect(early, "a a v1 ready=false deleted=false")
	put(channel("b", 1))
	put(channel("a", 2))
	late := watch()
	expect(late, "b b v1 ready=false deleted=false")
	expect(late, "a a v2 ready=false deleted=false")
	expect(late, "  ready=true deleted=false")
	s.Stop(t)
	s.Start(t)
	put(channel("c", 1))
	expect(late, "c c v1 ready=false deleted=false")
	if err := b.DeleteChannel(within(t), "c", 2); err != nil {
		t.Fatal(err)
	}
	expect(late, "c  ready=false deleted=true")
	cancel()
	if _, open := <-late; open {
		t.Error("the watch goes on")
	}
}

func TestCursorAndHealth(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b := s.Embedded(t, one)
	if _, err := b.Cursor(within(t), "a"); !errors.Is(err, jetstream.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	since := time.Date(2025, 5, 1, 12, 0, 0, 0, time.UTC)
	health := events.ChannelHealth{Channel: "a", State: events.Degraded, Error: "slow", Since: since, Pending: 3}
	for _, cursor := range []string{"10", "11", ""} {
		if err := b.SetCursor(within(t), "a", cursor); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Cursor(within(t), "a"); err != nil || got != cursor {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if err := errors.Join(b.SetCursor(within(t), "a", "12"), b.PutHealth(within(t), health)); err != nil {
		t.Fatal(err)
	}
	b.Close()
	s.Stop(t)
	s.Start(t)
	b = s.Embedded(t, one)
	if got, err := b.Cursor(within(t), "a"); err != nil || got != "12" {
		t.Errorf("after restart: %q, %v", got, err)
	}
	if all, err := b.Health(within(t)); err != nil || len(all) != 1 || all[0] != health {
		t.Errorf("after restart: %+v, %v", all, err)
	}
	if err := b.DeleteChannel(within(t), "a", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Cursor(within(t), "a"); !errors.Is(err, jetstream.ErrNotFound) {
		t.Errorf("after deletion: %v", err)
	}
	if all, err := b.Health(within(t)); err != nil || len(all) != 0 {
		t.Errorf("after deletion: %+v, %v", all, err)
	}
}

// A key that is written while the keys are listed is listed all the same.
func TestListingWhileKeysAreWritten(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	const channels = 30 // more bytes than one request asks for
	put := func(i int) {
		t.Helper()
		h := events.ChannelHealth{Channel: events.ChannelID(fmt.Sprint("c", i)), Error: strings.Repeat("x", 400<<10)}
		if err := b.PutHealth(within(t), h); err != nil {
			t.Fatal(err)
		}
	}
	for i := range channels {
		put(i)
	}
	seen := map[string]int{}
	err := b.EachHealth(within(t), func(key string) error {
		if len(seen) == 0 {
			put(0)
			put(channels - 1)
		}
		seen[key]++
		return nil
	})
	if err != nil || len(seen) != channels || seen["c0"] != 1 || seen[fmt.Sprint("c", channels-1)] != 1 {
		t.Errorf("%d of %d, %v: %v", len(seen), channels, err, seen)
	}
}
