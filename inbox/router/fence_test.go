package router_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/inbox/router"
	"parley/store"
	"parley/store/storetest"
)

// register makes the ledger's rows without a router.
func (w *world) register() {
	w.t.Helper()
	if err := w.db.EnsurePartitions(w.ctx, w.streams); err != nil {
		w.t.Fatal(err)
	}
}

// streams is what the ledger wants to know of the bus.
func (w *world) streams(ctx context.Context) ([]store.PartitionStream, error) {
	states, err := w.bus.Streams(ctx)
	streams := make([]store.PartitionStream, len(states))
	for i, s := range states {
		streams[i] = store.PartitionStream{Partition: s.Partition, Name: s.Name, Identity: s.Identity, First: s.FirstSeq, Last: s.LastSeq}
	}
	return streams, err
}

// TestStartBesideBusyRouters starts while another router moves on between the
// look at the streams and the look at the ledger.
func TestStartBesideBusyRouters(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	w.route()
	read := func(ctx context.Context) ([]store.PartitionStream, error) {
		streams, err := w.streams(ctx)
		w.publishEverywhere(1)
		w.drained()
		return streams, err
	}
	first := true
	err := w.db.EnsurePartitions(w.ctx, func(ctx context.Context) ([]store.PartitionStream, error) {
		if first {
			first = false
			return read(ctx)
		}
		return w.streams(ctx)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestFrozenRouterIsFenced(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	const instantly = -time.Second // its lease has run out when it wakes
	frozen, err := w.db.TakePartition(w.ctx, "frozen", instantly)
	if err != nil || frozen == nil {
		t.Fatal(frozen, err)
	}
	ev := w.text(1, 1, "hello")
	batch := []store.InboundRecord{{Seq: frozen.LastSeq + 1, Event: &ev}}

	var heir *store.PartitionLease
	for heir == nil || heir.Partition != frozen.Partition {
		if heir, err = w.db.TakePartition(w.ctx, "heir", time.Minute); err != nil || heir == nil {
			t.Fatal(heir, err)
		}
	}
	if _, err := w.db.StoreBatch(w.ctx, heir, batch); err != nil {
		t.Fatal(err)
	}
	before := *frozen
	if _, err := w.db.StoreBatch(w.ctx, frozen, batch); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the frozen router stored: %v", err)
	}
	if *frozen != before {
		t.Errorf("its cursor moved: %+v", frozen)
	}
	if err := w.db.RenewPartition(w.ctx, frozen, time.Minute); !errors.Is(err, store.ErrFenced) {
		t.Errorf("it renewed: %v", err)
	}
	if err := w.db.ReloadPartition(w.ctx, frozen); !errors.Is(err, store.ErrFenced) {
		t.Errorf("it reloaded: %v", err)
	}
	// The heir's own batch again, as after a commit whose answer was lost.
	again := *heir
	again.LastSeq--
	if _, err := w.db.StoreBatch(w.ctx, &again, batch); !errors.Is(err, store.ErrFenced) {
		t.Errorf("stored twice: %v", err)
	}
	if err := w.db.ReloadPartition(w.ctx, &again); err != nil || again.LastSeq != heir.LastSeq {
		t.Errorf("reload: %+v, %v", again, err)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_chat_messages`); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func TestTwoRoutersShareAndInherit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	_, stopFirst := w.route(owned("first"))
	_, _ = w.route(owned("second"))
	w.until("two partitions each", func() bool {
		return w.owners("first") == 2 && w.owners("second") == 2
	})
	for i := range 50 {
		w.publish(w.text(i, 1, "hello"))
	}
	stopFirst()
	for i := range 50 {
		w.publish(w.text(i, 2, "still there?"))
	}
	if got := totals(w.drained()); got.Persisted != 100 {
		t.Errorf("persisted %d, want 100", got.Persisted)
	}
	w.until("one router holds all", func() bool { return w.owners("second") == 4 })
	w.audit()
}

func TestRouterWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	w := setup(t)
	server := storetest.NewServer(t)
	if _, err := store.Migrate(w.ctx, server.URL()); err != nil {
		t.Fatal(err)
	}
	w.url = server.URL()
	w.db = w.open()
	w.tenant, w.channel = w.business("Bakery")
	w.route()
	w.publish(w.text(1, 1, "before"))
	w.drained()
	server.Kill()
	for i := range 20 {
		w.publish(w.text(1, 2+i, "accepted without a database"))
	}
	server.Start()
	if got := totals(w.drained()); got.Persisted != 21 || got.Duplicate != 0 {
		t.Errorf("persisted %d, duplicates %d", got.Persisted, got.Duplicate)
	}
	w.audit()
}

func TestOtherStreamsAreRefusedUntilAdopted(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.publish(w.text(1, 1, "old"))
	_, stop := w.route()
	w.drained()
	stop()

	fresh := setup(t)
	other := *w
	other.bus = fresh.bus
	other.publish(w.text(1, 1, "old"), w.text(1, 2, "new"))
	r := router.New(router.Options{Store: w.db, Bus: other.bus, Owner: "refused"})
	if err := r.Run(w.ctx); err == nil {
		t.Fatal("it routes a stream that is not its own")
	}
	if err := router.AdoptStreams(w.ctx, w.db, other.bus); err != nil {
		t.Fatal(err)
	}
	other.route()
	got := totals(other.drained())
	if got.Persisted != 1 || got.Duplicate != 1 || got.Gap() != 0 {
		t.Errorf("persisted %d, duplicate %d, gap %d", got.Persisted, got.Duplicate, got.Gap())
	}
	other.audit()
}

func owned(name string) func(*router.Options) {
	return func(o *router.Options) { o.Owner = name + "/" + uuid.NewString() }
}

// owners counts the partitions of the router of that name.
func (w *world) owners(name string) int64 {
	w.t.Helper()
	return storetest.Int(w.t, w.url, `SELECT count(*) FROM parley_partitions WHERE owner LIKE $1`, name+"/%")
}

// until waits for a condition that only a defect keeps from coming true.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-w.ctx.Done():
			w.t.Fatal("never came true: ", what)
		case <-tick.C:
		}
	}
}

func TestAuditSeesWhatWasDoneByHand(t *testing.T) {
	t.Parallel()
	for name, sabotage := range map[string]func(w *world){
		"a message row deleted": func(w *world) {
			storetest.Exec(w.t, w.url, `DELETE FROM crm_chat_messages WHERE id = (SELECT min(id) FROM crm_chat_messages)`)
		},
		"the checkpoint moved over a record": func(w *world) {
			storetest.Exec(w.t, w.url, `UPDATE parley_partitions SET last_seq = last_seq + 1`)
			w.publishEverywhere(100)
		},
		"the checkpoint and its counter moved": func(w *world) {
			storetest.Exec(w.t, w.url, `UPDATE parley_partitions SET last_seq = last_seq + 1, frames = frames + 1, events = events + 1, duplicate = duplicate + 1`)
			w.publishEverywhere(100)
		},
		"a quarantined event deleted": func(w *world) {
			storetest.Exec(w.t, w.url, `DELETE FROM parley_quarantine`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.publishEverywhere(1)
			broken := w.text(1, 50, "")
			broken.Content = nil
			w.publish(broken)
			_, stop := w.route()
			w.drained()
			w.audit()
			stop()
			sabotage(w)
			report, err := router.Audit(w.ctx, w.db, w.bus)
			if err != nil {
				t.Fatal(err)
			}
			if report.Clean {
				t.Errorf("the audit saw nothing: %+v", report)
			}
			for _, f := range report.Findings {
				t.Log(f)
			}
		})
	}
}

func TestAuditForgivesErasedClients(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.publishEverywhere(1)
	w.route()
	w.drained()
	storetest.Exec(t, w.url, `DELETE FROM crm_clients WHERE id = (SELECT min(id) FROM crm_clients)`)
	w.audit()
	storetest.Exec(t, w.url, `DELETE FROM tenants`)
	w.audit()
}

// publishEverywhere sends messages of so many people that every partition has
// some.
func (w *world) publishEverywhere(from int) {
	w.t.Helper()
	for i := range 40 {
		w.publish(w.text(from+i, 1000+from, "hello"))
	}
	states, err := w.bus.Streams(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range states {
		if s.Messages == 0 {
			w.t.Fatalf("partition %d got nothing", s.Partition)
		}
	}
}
