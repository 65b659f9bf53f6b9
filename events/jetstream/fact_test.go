package jetstream_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
)

const otherTenant = events.TenantID("018f0000-0000-7000-8000-000000000002")

func fact(id int64, who events.TenantID, chat int64) events.Fact {
	return events.Fact{
		ID: id, Tenant: who, Noun: "message", Verb: "received", Chat: chat,
		Time: time.Date(2025, 5, 1, 12, 0, 0, 0, time.UTC), Data: json.RawMessage(`{"text":"hi"}`),
	}
}

// readFacts returns the ids of the next n facts.
func readFacts(t testing.TB, b *jetstream.Bus, o jetstream.FactOptions, n int) (ids []int64, last uint64) {
	t.Helper()
	r, err := b.Facts(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for len(ids) < n {
		recs, err := r.Next(within(t), n-len(ids))
		if err != nil {
			t.Fatalf("after %v: %v", ids, err)
		}
		for _, rec := range recs {
			if rec.Err != nil || rec.Fact.Tenant != o.Tenant {
				t.Errorf("fact %d of %s: %v", rec.Fact.ID, rec.Fact.Tenant, rec.Err)
			}
			ids, last = append(ids, rec.Fact.ID), rec.Place.Seq
		}
	}
	return ids, last
}

func TestFacts(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	var facts []events.Fact
	for id := range int64(1200) { // several batches
		facts = append(facts, fact(id, tenant, id%3+1), fact(id, otherTenant, 1))
	}
	if err := b.PublishFacts(within(t), facts); err != nil {
		t.Fatal(err)
	}
	ids, last := readFacts(t, b, jetstream.FactOptions{Tenant: tenant}, 1200)
	for i, id := range ids {
		if id != int64(i) {
			t.Fatalf("fact %d came as number %d", id, i)
		}
	}
	if ids, _ := readFacts(t, b, jetstream.FactOptions{Tenant: tenant, Chat: 2}, 3); fmt.Sprint(ids) != "[1 4 7]" {
		t.Errorf("of chat 2: %v", ids)
	}

	// Whoever asks for new ones gets exactly those.
	fresh, err := b.Facts(within(t), jetstream.FactOptions{Tenant: tenant, NewOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if err := b.PublishFacts(within(t), []events.Fact{fact(5000, otherTenant, 1), fact(5001, tenant, 1)}); err != nil {
		t.Fatal(err)
	}
	if recs, err := fresh.Next(within(t), 9); err != nil || len(recs) != 1 || recs[0].Fact.ID != 5001 {
		t.Errorf("new: %+v, %v", recs, err)
	}
	if ids, _ := readFacts(t, b, jetstream.FactOptions{Tenant: tenant, After: jetstream.Place{Seq: last}}, 1); ids[0] != 5001 {
		t.Errorf("resumed at %v", ids)
	}

	// Erasure takes one chat of one tenant.
	if err := b.PurgeFacts(within(t), tenant, 2); err != nil {
		t.Fatal(err)
	}
	if ids, _ := readFacts(t, b, jetstream.FactOptions{Tenant: tenant}, 4); fmt.Sprint(ids) != "[0 2 3 5]" {
		t.Errorf("after erasure: %v", ids)
	}
	if err := b.PurgeTenantFacts(within(t), tenant); err != nil {
		t.Fatal(err)
	}
	if ids, _ := readFacts(t, b, jetstream.FactOptions{Tenant: otherTenant}, 1201); len(ids) != 1201 {
		t.Errorf("the other tenant has %d", len(ids))
	}
}

// Facts keep a subject each, so they go in atomic batches, all or none.
func TestFactsGoInBatches(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	type exchange struct {
		n      int
		atomic bool
	}
	exchanges := make(chan exchange, 10)
	b := s.Embedded(t, one, func(o *jetstream.Options) {
		o.Observer.Published = func(_ string, n int, isAtomic bool, _ time.Duration, _ error) { exchanges <- exchange{n, isAtomic} }
	})
	js := client(t, s)
	stream, err := js.Stream(within(t), "PARLEY_FACTS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgSize = 4000 // only the server knows, and finds out in the midst of a batch
	if _, err := js.UpdateStream(within(t), cfg); err != nil {
		t.Fatal(err)
	}
	large := fact(3, tenant, 1)
	large.Data = json.RawMessage(`"` + strings.Repeat("x", 5000) + `"`)
	for _, c := range []struct {
		facts []events.Fact
		want  error
	}{
		{[]events.Fact{fact(1, tenant, 1)}, nil},
		{[]events.Fact{fact(2, tenant, 1), large, fact(4, tenant, 1)}, jetstream.ErrTooLarge},
		{[]events.Fact{fact(5, tenant, 1), fact(6, tenant, 2)}, nil},
	} {
		if err := b.PublishFacts(within(t), c.facts); !errors.Is(err, c.want) {
			t.Errorf("%d facts: %v, want %v", len(c.facts), err, c.want)
		}
		if got, want := <-exchanges, (exchange{len(c.facts), len(c.facts) > 1}); got != want {
			t.Errorf("exchange %+v, want %+v", got, want)
		}
	}
	if ids, _ := readFacts(t, b, jetstream.FactOptions{Tenant: tenant}, 3); fmt.Sprint(ids) != "[1 5 6]" {
		t.Errorf("stored %v", ids)
	}
}

// A wildcard is no tenant.
func TestFactsStayWithTheirTenant(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	for _, who := range []events.TenantID{"", "*", ">", "a.b", "a b", "a\n"} {
		if _, err := b.Facts(within(t), jetstream.FactOptions{Tenant: who}); !errors.Is(err, jetstream.ErrInvalid) {
			t.Errorf("reading %q: %v", who, err)
		}
		if err := b.PurgeFacts(within(t), who, 1); !errors.Is(err, jetstream.ErrInvalid) {
			t.Errorf("purging %q: %v", who, err)
		}
		if err := b.PublishFacts(within(t), []events.Fact{fact(1, who, 1)}); !errors.Is(err, jetstream.ErrInvalid) {
			t.Errorf("publishing %q: %v", who, err)
		}
	}
}

func TestFactsReset(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b := s.Embedded(t, one)
	var facts []events.Fact
	for id := range int64(10) {
		facts = append(facts, fact(id, tenant, 1))
	}
	if err := b.PublishFacts(within(t), facts); err != nil {
		t.Fatal(err)
	}
	running, err := b.Facts(within(t), jetstream.FactOptions{Tenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	if recs, err := running.Next(within(t), 1); err != nil || recs[0].Fact.ID != 0 {
		t.Fatalf("%+v, %v", recs, err)
	}
	js := client(t, s)
	stream, err := js.Stream(within(t), "PARLEY_FACTS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgs = 4 // as age would: 7 to 10 are kept
	if _, err := js.UpdateStream(within(t), cfg); err != nil {
		t.Fatal(err)
	}
	for after, reset := range map[uint64]bool{0: false, 1: true, 5: true, 6: false, 10: false, 11: true} {
		r, err := b.Facts(within(t), jetstream.FactOptions{Tenant: tenant, After: jetstream.Place{Seq: after}})
		if reset != errors.Is(err, jetstream.ErrReset) || !reset && err != nil {
			t.Errorf("after %d: %v", after, err)
		}
		if err == nil {
			r.Close()
		}
	}
	if err := js.DeleteStream(within(t), "PARLEY_FACTS"); err != nil {
		t.Fatal(err)
	}
	for err = nil; err == nil; { // what was fetched still comes
		_, err = running.Next(within(t), 100)
	}
	if !errors.Is(err, jetstream.ErrReset) {
		t.Errorf("a reader of a deleted stream got %v", err)
	}
}
