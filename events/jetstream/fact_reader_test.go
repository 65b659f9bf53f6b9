package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
)

// follow reads until it has seen the fact with the id last, and returns all ids. It
// reconnects at its resume point after every few facts when restless.
func follow(t *testing.T, b *jetstream.Bus, o jetstream.FactOptions, last int64, restless bool, started func()) (ids []int64) {
	r, err := b.Facts(within(t), o)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer func() { r.Close() }()
	if started != nil {
		started()
	}
	for n := 0; ; n++ {
		recs, err := r.Next(within(t), 7)
		if err != nil {
			t.Errorf("after %d facts: %v", len(ids), err)
			return ids
		}
		for _, rec := range recs {
			if rec.Fact.Tenant != o.Tenant {
				t.Errorf("a fact of %s", rec.Fact.Tenant)
			}
			ids = append(ids, rec.Fact.ID)
		}
		if slices.Contains(ids, last) {
			return ids
		}
		if restless && n%5 == 4 {
			place := r.Place()
			r.Close()
			if r, err = b.Facts(within(t), jetstream.FactOptions{Tenant: o.Tenant, After: place}); err != nil {
				t.Error(err)
				return ids
			}
		}
	}
}

// Many readers of two tenants, some of whom come and go and some of whom start
// when their queue is full many times over: each gets every fact of its tenant
// once, in order.
func TestReadersMissNothing(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	const facts, readers = 3000, 24
	var wg, ready sync.WaitGroup
	got := make([][]int64, readers)
	who := func(i int) events.TenantID { return []events.TenantID{tenant, otherTenant}[i%2] }
	slow, err := b.Facts(within(t), jetstream.FactOptions{Tenant: tenant, NewOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	ready.Add(readers)
	for i := range readers {
		wg.Go(func() {
			o := jetstream.FactOptions{Tenant: who(i), NewOnly: i%3 != 0}
			got[i] = follow(t, b, o, facts, i%2 == i/2%2, ready.Done)
		})
	}
	ready.Wait()
	for id := int64(1); id <= facts; id += 50 {
		var batch []events.Fact
		for n := id; n < id+50; n++ {
			batch = append(batch, fact(n, tenant, n%3+1), fact(n, otherTenant, 1))
		}
		if err := b.PublishFacts(within(t), batch); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	check := func(name string, ids []int64) {
		t.Helper()
		for i, id := range ids {
			if id != int64(i)+1 {
				t.Fatalf("%s: fact %d came as number %d", name, id, i+1)
			}
		}
		if len(ids) != facts {
			t.Errorf("%s has %d facts", name, len(ids))
		}
	}
	for i, ids := range got {
		check(fmt.Sprintf("reader %d", i), ids)
	}
	// Nobody waited for one that read nothing, and it misses nothing either.
	var late []int64
	for len(late) < facts {
		recs, err := slow.Next(within(t), 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range recs {
			late = append(late, rec.Fact.ID)
		}
	}
	check("the slow reader", late)
}

// Who asks for the place, then reads the state, then follows from there, misses
// nothing that happened in between, whether others read at the time or not.
func TestPlaceBeforeReading(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	for id := int64(1); id <= 6; id++ {
		place, err := b.FactPlace(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.PublishFacts(within(t), []events.Fact{fact(id, tenant, 1)}); err != nil {
			t.Fatal(err)
		}
		r, err := b.Facts(within(t), jetstream.FactOptions{Tenant: tenant, After: place})
		if err != nil {
			t.Fatal(err)
		}
		if id < 3 {
			defer r.Close() // from now on there is a reader
		}
		for {
			recs, err := r.Next(within(t), 10)
			if err != nil {
				t.Fatalf("after %v: %v", place, err)
			}
			if last := recs[len(recs)-1].Fact.ID; last == id {
				break
			}
		}
		if id >= 3 {
			r.Close()
		}
	}
}

// A place means the same to another process and after a restart of the server; of
// a stream that was made anew it is refused.
func TestPlacesOutliveTheServer(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b := s.Dial(t, one)
	r, err := b.Facts(within(t), jetstream.FactOptions{Tenant: tenant, NewOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := b.PublishFacts(within(t), []events.Fact{fact(1, tenant, 1), fact(2, otherTenant, 1)}); err != nil {
		t.Fatal(err)
	}
	recs, err := r.Next(within(t), 9)
	if err != nil || len(recs) != 1 {
		t.Fatal(recs, err)
	}
	place, err := jetstream.ParsePlace(recs[0].Place.String())
	if err != nil || place != recs[0].Place {
		t.Fatalf("%v is %v, %v", recs[0].Place, place, err)
	}
	s.Stop(t)
	s.Start(t)
	other := s.Dial(t, one)
	if err := other.PublishFacts(within(t), []events.Fact{fact(3, tenant, 1)}); err != nil {
		t.Fatal(err)
	}
	if recs, err := r.Next(within(t), 9); err != nil || len(recs) != 1 || recs[0].Fact.ID != 3 {
		t.Errorf("the one that stayed: %+v, %v", recs, err)
	}
	again, err := other.Facts(within(t), jetstream.FactOptions{Tenant: tenant, After: place})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if recs, err := again.Next(within(t), 9); err != nil || len(recs) != 1 || recs[0].Fact.ID != 3 {
		t.Errorf("resumed: %+v, %v", recs, err)
	}
	place.Stream ^= 1
	if _, err := other.Facts(within(t), jetstream.FactOptions{Tenant: tenant, After: place}); !errors.Is(err, jetstream.ErrReset) {
		t.Errorf("a place of another stream: %v", err)
	}
	for _, text := range []string{"", "x", "-1", "1-", "1-0", "1-00000000", "1-123456789", "1-zzzzzzzz"} {
		if p, err := jetstream.ParsePlace(text); !errors.Is(err, jetstream.ErrInvalid) {
			t.Errorf("%q is %v, %v", text, p, err)
		}
	}
}

// Two who believe that they hold the relay's lease publish the same facts, whole
// and in part, and one is asked to stop in the midst: each fact is stored once.
func TestFactLogPublishesOnce(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	var facts []events.Fact
	for id := int64(1); id <= 1500; id++ {
		facts = append(facts, fact(id, tenant, 1))
	}
	first, second := b.FactLog(), b.FactLog()
	for _, step := range []struct {
		log   *jetstream.FactLog
		facts []events.Fact
	}{
		{first, facts[:700]},
		{second, facts[:800]},
		{first, facts[:700]},
		{first, facts[:900]},
		{second, facts[800:901]},
		{b.FactLog(), facts[:950]}, // a third, after both crashed before they settled
	} {
		if err := step.log.Publish(within(t), step.facts); err != nil {
			t.Fatal(err)
		}
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := first.Publish(stopped, facts); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	var wg sync.WaitGroup
	for _, l := range []*jetstream.FactLog{first, second} {
		wg.Go(func() {
			if err := l.Publish(within(t), facts); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := b.PublishFacts(within(t), []events.Fact{fact(9999, tenant, 1)}); err != nil {
		t.Fatal(err)
	}
	ids := follow(t, b, jetstream.FactOptions{Tenant: tenant}, 9999, false, nil)
	seen := map[int64]bool{}
	for _, id := range ids {
		if seen[id] {
			t.Errorf("fact %d is stored twice", id)
		}
		seen[id] = true
	}
	if len(seen) != len(facts)+1 {
		t.Errorf("%d facts of %d are stored", len(seen), len(facts)+1)
	}
}
