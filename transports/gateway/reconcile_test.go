package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"parley/events"
	"parley/events/jetstream"
)

// archive is a provider that lists what people sent, whatever its webhooks did.
type archive struct {
	mu    sync.Mutex
	kept  []archived
	since []time.Time // of the runs
	began []time.Time
	// fail ends a run with this error after it emitted that many; nil lists all.
	fail func(run, emitted int) error
}

type archived struct {
	id string
	at time.Time
}

// keep adds a message that was sent now.
func (a *archive) keep(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept = append(a.kept, archived{id, time.Now()})
}

// runs are where the runs began so far.
func (a *archive) runs() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.since)
}

// starts are when.
func (a *archive) starts() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.began)
}

func (a *archive) setFail(f func(run, emitted int) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail = f
}

func (a *archive) reconcile(ctx context.Context, since time.Time, emit func(context.Context, []events.Inbound) error) error {
	a.mu.Lock()
	a.since, a.began = append(a.since, since), append(a.began, time.Now())
	run, kept, fail := len(a.since), slices.Clone(a.kept), a.fail
	a.mu.Unlock()
	emitted := 0
	for _, m := range kept {
		if fail != nil {
			if err := fail(run, emitted); err != nil {
				return err
			}
		}
		if m.at.Before(since) {
			continue
		}
		if err := emit(ctx, inbound(m.id)); err != nil {
			return fmt.Errorf("emit: %w", err)
		}
		emitted++
	}
	if fail != nil {
		return fail(run, emitted)
	}
	return nil
}

// archiveRig is a gateway in front of an archive.
func archiveRig(t *testing.T, bus *fakeBus, a *archive, tune func(*Options)) *rig {
	t.Helper()
	r := newRig(t, bus, tune)
	r.adapter = func(f *fakeAdapter) error {
		f.reconcile = a.reconcile
		return nil
	}
	return r
}

// arrived are the ids that are durable, each once.
func (b *fakeBus) arrived() []string {
	var ids []string
	for _, ev := range b.stored() {
		if !slices.Contains(ids, ev.ProviderEvent) {
			ids = append(ids, ev.ProviderEvent)
		}
	}
	return ids
}

// A new channel's first run asks for nothing older than the channel, and each
// later one for what came since the one before.
func TestReconcileAtIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, a := newFakeBus(), &archive{}
		a.keep("long before")
		<-time.After(24 * time.Hour)
		bus.put(webhookChannel())
		first := time.Now()
		r := archiveRig(t, bus, a, nil)
		r.run(t)
		advance(10 * time.Minute)
		// One at the start, and one for what the first left to its webhooks.
		if got := a.runs(); len(got) != 2 || !got[0].Equal(first) || !got[1].Equal(first) {
			t.Fatalf("asked for %v, the channel is from %v", got, first)
		}
		a.keep("missed")
		advance(24 * time.Hour)
		if got := a.runs(); len(got) < 2+20 || len(got) > 2+30 {
			t.Errorf("%d runs in a day", len(got)-2)
		}
		starts, since := a.starts(), a.runs()
		for i := 3; i < len(starts); i++ {
			if want := starts[i-1].Add(-overlap); !since[i].Equal(want) {
				t.Errorf("run %d asked for %v, want %v", i, since[i], want)
			}
			if gap := starts[i].Sub(starts[i-1]); gap < 48*time.Minute || gap > 72*time.Minute {
				t.Errorf("%v between runs", gap)
			}
		}
		if got := bus.arrived(); !slices.Equal(got, []string{"missed"}) {
			t.Errorf("arrived %q", got)
		}
		ev := bus.stored()[0]
		if ev.ID == "" || ev.Tenant != testTenant || ev.Channel != testChannel || ev.Transport != testKind || ev.AcceptedAt.IsZero() {
			t.Errorf("not stamped: %+v", ev)
		}
		m := r.Gateway.metrics.reconcile
		if n := testutil.ToFloat64(m.events.WithLabelValues("fake")); n != float64(len(bus.stored())) {
			t.Errorf("counted %v events of %d", n, len(bus.stored()))
		}
		if n := testutil.ToFloat64(m.runs.WithLabelValues("fake", reconcileDone)); n != float64(len(starts)) {
			t.Errorf("counted %v runs of %d", n, len(starts))
		}
		families, err := r.metricsText()
		if err != nil || !strings.Contains(families, "parley_gateway_reconcile_age_seconds") {
			t.Errorf("no age: %s, %v", families, err)
		}
		if h := bus.lastHealth(t); h.State != events.Connected {
			t.Errorf("health %+v", h)
		}
	})
}

// metricsText names what can be scraped.
func (r *rig) metricsText() (string, error) {
	families, err := r.metrics.Gather()
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	return strings.Join(names, " "), err
}

// A poller missed nothing: it is compared when that is due, not at each start.
func TestReconcileOfAPolledChannel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, a := newFakeBus(), &archive{}
		bus.put(pollingChannel())
		for range 3 {
			stop := archiveRig(t, bus, a, nil).run(t)
			advance(10 * time.Minute)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(a.runs()); n != 0 {
			t.Errorf("%d runs in half an hour", n)
		}
		archiveRig(t, bus, a, nil).run(t)
		advance(45 * time.Minute)
		if n := len(a.runs()); n != 1 {
			t.Errorf("%d runs in an hour and a quarter", n)
		}
	})
}

func TestOneReconcilesAcrossReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, a := newFakeBus(), &archive{}
		bus.put(webhookChannel())
		first := archiveRig(t, bus, a, nil)
		stop := first.run(t)
		synctest.Wait()
		second := archiveRig(t, bus, a, nil)
		second.run(t)
		advance(24 * time.Hour)
		runs := func(r *rig) float64 {
			return testutil.ToFloat64(r.Gateway.metrics.reconcile.runs.WithLabelValues("fake", reconcileDone))
		}
		if runs(first) < 20 || runs(second) != 0 {
			t.Errorf("the one ran %v times, the other %v times", runs(first), runs(second))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if n := len(first.Gateway.metrics.reconcile.ages()); n != 0 {
			t.Errorf("an age without a lease")
		}
		advance(time.Minute)
		if runs(second) != 1 {
			t.Errorf("the other ran %v times once it was alone", runs(second))
		}
	})
}

func TestReconcileOnDemand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, a := newFakeBus(), &archive{}
		bus.put(webhookChannel())
		first := archiveRig(t, bus, a, nil)
		first.run(t)
		synctest.Wait()
		second := archiveRig(t, bus, a, nil)
		second.run(t)
		advance(10 * time.Minute)
		for _, r := range []*rig{first, second} {
			before := len(a.runs())
			if err := r.Reconcile(t.Context(), testChannel); err != nil {
				t.Fatal(err)
			}
			advance(2 * time.Minute)
			if n := len(a.runs()); n <= before {
				t.Errorf("asked, and it did not run")
			}
			advance(10 * time.Minute)
		}
		if err := first.Reconcile(t.Context(), "unknown"); !errors.Is(err, ErrNoReconcile) {
			t.Errorf("got %v", err)
		}
		bus.onAsk = func() error { return jetstream.ErrUnavailable }
		if err := first.Reconcile(t.Context(), testChannel); !errors.Is(err, jetstream.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}

// A clock that was wrong, or a state that is unreadable, hides nothing.
func TestReconcileSince(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		state reconciled
		want  time.Time
	}{
		"new":        {reconciled{First: now}, now},
		"young":      {reconciled{First: now.Add(-time.Minute), Done: now}, now.Add(-time.Minute)},
		"usual":      {reconciled{First: now.AddDate(-1, 0, 0), Done: now.Add(-time.Hour)}, now.Add(-time.Hour - overlap)},
		"the future": {reconciled{First: now.AddDate(-1, 0, 0), Done: now.AddDate(1, 0, 0)}, now.Add(-overlap)},
	} {
		if got := test.state.since(now); !got.Equal(test.want) {
			t.Errorf("%s: since %v, want %v", name, got, test.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		bus, a := newFakeBus(), &archive{}
		bus.put(webhookChannel())
		bus.reconciled[testChannel] = "not JSON"
		began := time.Now()
		archiveRig(t, bus, a, nil).run(t)
		advance(time.Minute)
		if got := a.runs(); len(got) != 1 || !got[0].Equal(began.Add(-24*time.Hour)) {
			t.Errorf("asked for %v", got)
		}
	})
}
