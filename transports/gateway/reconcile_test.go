package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"parley/events"
	"parley/events/jetstream"
	"parley/transports"
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

// The process was down for hours: what came meanwhile is asked for.
func TestReconcileCoversAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, a := newFakeBus(), &archive{}
		bus.put(webhookChannel())
		stop := archiveRig(t, bus, a, nil).run(t)
		advance(2*time.Hour + time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		down := time.Now()
		for i := range 10 {
			a.keep(strconv.Itoa(i))
			<-time.After(7 * time.Hour)
		}
		before := len(a.runs())
		archiveRig(t, bus, a, nil).run(t)
		advance(10 * time.Second)
		got := a.runs()
		if len(got) != before+1 || got[before].After(down) {
			t.Fatalf("after the outage asked for %v, it began at %v", got[before:], down)
		}
		if n := len(bus.arrived()); n != 10 {
			t.Errorf("%d of 10 arrived", n)
		}
		// What was too new for the first run is in the second.
		a.keep("late")
		advance(5 * time.Minute)
		if got := bus.arrived(); !slices.Contains(got, "late") {
			t.Errorf("arrived %q", got)
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

// Whatever ends a run in the middle, the next begins where it did.
func TestReconcileLosesNothing(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*fakeBus, *archive){
		"provider": func(_ *fakeBus, a *archive) {
			a.setFail(func(run, emitted int) error {
				if run < 4 && emitted == 2 {
					return errors.New("500 of " + testSecret)
				}
				return nil
			})
		},
		"panic": func(_ *fakeBus, a *archive) {
			a.setFail(func(run, emitted int) error {
				if run < 4 && emitted == 2 {
					panic(testSecret)
				}
				return nil
			})
		},
		"bus": func(b *fakeBus, _ *archive) {
			n := 0
			b.onPublish = func(context.Context, []events.Inbound) error {
				if n++; n%3 == 0 && n < 12 {
					return jetstream.ErrBackPressure
				}
				return nil
			}
		},
		"crash behind the events": func(b *fakeBus, _ *archive) {
			n := 0
			b.onSetCursor = func(string) error {
				if n++; n > 1 && n < 5 {
					return jetstream.ErrUnavailable
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus, a := newFakeBus(), &archive{}
				fail(bus, a)
				bus.put(webhookChannel())
				first := time.Now()
				r := archiveRig(t, bus, a, nil)
				for i := range 5 {
					a.keep(strconv.Itoa(i))
				}
				r.run(t)
				advance(20 * time.Minute)
				if got := bus.arrived(); len(got) != 5 {
					t.Errorf("arrived %q", got)
				}
				for i, since := range a.runs()[:4] {
					if !since.Equal(first) {
						t.Errorf("run %d asked for %v, want %v", i, since, first)
					}
				}
				var state reconciled
				if err := json.Unmarshal([]byte(bus.reconciled[testChannel]), &state); err != nil || !state.Done.After(first) {
					t.Errorf("state %+v, %v", state, err)
				}
				if s := r.logs.String(); !strings.Contains(s, "channel not compared with its provider") || !strings.Contains(s, string(testChannel)) {
					t.Errorf("nothing said so: %s", s)
				}
				r.logs.wantNoSecrets(t)
			})
		})
	}
}

// A crash in the middle of a run: another replica repeats all of it.
func TestReconcileAfterACrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, a := newFakeBus(), &archive{}
		bus.put(webhookChannel())
		for i := range 5 {
			a.keep(strconv.Itoa(i))
		}
		hang := make(chan struct{})
		first := newRig(t, bus, nil)
		first.adapter = func(f *fakeAdapter) error {
			f.reconcile = func(ctx context.Context, _ time.Time, emit func(context.Context, []events.Inbound) error) error {
				err := emit(ctx, inbound("0"))
				close(hang)
				<-ctx.Done()
				return errors.Join(err, ctx.Err())
			}
			return nil
		}
		stop := first.run(t)
		<-hang
		began := time.Now()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("stopping took %s", took)
		}
		if n := testutil.ToFloat64(first.Gateway.metrics.reconcile.runs.WithLabelValues("fake", reconcileCancelled)); n != 1 {
			t.Errorf("counted %v cancelled runs", n)
		}
		archiveRig(t, bus, a, nil).run(t)
		advance(time.Minute)
		if got := bus.arrived(); len(got) != 5 {
			t.Errorf("arrived %q", got)
		}
	})
}

// A bus that does not answer holds nobody back who wants to leave.
func TestReconcileStopsInAnEmit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, a := newFakeBus(), &archive{}
		publishing := make(chan struct{})
		bus.onPublish = func(ctx context.Context, _ []events.Inbound) error {
			close(publishing)
			<-ctx.Done()
			return ctx.Err()
		}
		bus.put(webhookChannel())
		a.keep("1")
		stop := archiveRig(t, bus, a, nil).run(t)
		<-publishing
		began := time.Now()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("stopping took %s", took)
		}
	})
}

// A webhook that was refused, by whichever replica, is asked for once the bus is
// back.
func TestReconcileAfterRefusedWebhooks(t *testing.T) {
	t.Parallel()
	for _, holder := range []bool{true, false} {
		t.Run("by the holder "+strconv.FormatBool(holder), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus, a := newFakeBus(), &archive{}
				bus.put(webhookChannel())
				var mu sync.Mutex
				down := false
				unreachable := func() error {
					mu.Lock()
					defer mu.Unlock()
					if down {
						return jetstream.ErrUnavailable
					}
					return nil
				}
				bus.onPublish = func(context.Context, []events.Inbound) error { return unreachable() }
				bus.onAsk = unreachable
				first := archiveRig(t, bus, a, nil)
				first.run(t)
				synctest.Wait()
				second := archiveRig(t, bus, a, nil)
				second.run(t)
				advance(20 * time.Minute)
				before := len(a.runs())

				mu.Lock()
				down = true
				mu.Unlock()
				a.keep("1")
				refuses := second
				if holder {
					refuses = first
				}
				wantCode(t, refuses.answer(delivery("1")), http.StatusServiceUnavailable)
				advance(5 * time.Minute)
				if got := bus.arrived(); len(got) != 0 {
					t.Fatalf("arrived %q", got)
				}
				mu.Lock()
				down = false
				mu.Unlock()
				advance(6 * time.Minute)
				if got := bus.arrived(); !slices.Equal(got, []string{"1"}) {
					t.Errorf("arrived %q after %d runs", got, len(a.runs())-before)
				}
				after := len(a.runs())
				advance(20 * time.Minute)
				if n := len(a.runs()); n > after+1 {
					t.Errorf("%d more runs", n-after)
				}
			})
		})
	}
}

// The provider could not be asked, or could not deliver, for a while.
func TestReconcileOnRecovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, a := newFakeBus(), &archive{}
		bus.put(webhookChannel())
		var down bool
		r := newRig(t, bus, nil)
		r.adapter = func(f *fakeAdapter) error {
			f.reconcile = a.reconcile
			f.check = func(context.Context) (report transports.Report, err error) {
				r.do(func() {
					if down {
						err = errors.New("502")
					}
				})
				return report, err
			}
			return nil
		}
		r.run(t)
		advance(10 * time.Minute)
		r.do(func() { down = true })
		advance(10 * time.Minute)
		a.keep("1")
		before := len(a.runs())
		r.do(func() { down = false })
		advance(2 * time.Minute)
		if n := len(a.runs()); n != before+1 || !slices.Equal(bus.arrived(), []string{"1"}) {
			t.Errorf("%d runs, arrived %q", n-before, bus.arrived())
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

// A failing provider is asked for ever, less and less often; health says what
// may be missing once a whole run is.
func TestReconcileBacksOffForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, a := newFakeBus(), &archive{}
		bus.put(webhookChannel())
		a.setFail(func(int, int) error { return errors.New("500 of bot" + testSecret) })
		began := time.Now().UTC()
		r := archiveRig(t, bus, a, nil)
		r.run(t)
		advance(time.Hour)
		if h := bus.lastHealth(t); h.State != events.Connected {
			t.Errorf("health %+v within the first hour", h)
		}
		advance(47 * time.Hour)
		if n := len(a.runs()); n < 48*60/25 || n > 48*60/5 {
			t.Errorf("%d runs in two days", n)
		}
		h := bus.lastHealth(t)
		want := "messages may be missing: what the provider has was last compared with what came at " +
			began.Format("2006-01-02 15:04 MST") + "; listing what the provider has failed: 500 of bot[redacted]"
		if h.State != events.Degraded || h.Error != want {
			t.Errorf("health %+v, want %s", h, want)
		}
		if age := r.Gateway.metrics.reconcile.ages()[testKind]; age < 47*time.Hour {
			t.Errorf("age %v", age)
		}
		a.setFail(nil)
		a.keep("1")
		advance(30 * time.Minute)
		if h := bus.lastHealth(t); h.State != events.Connected {
			t.Errorf("health %+v", h)
		}
		if !slices.Equal(bus.arrived(), []string{"1"}) {
			t.Errorf("arrived %q", bus.arrived())
		}
		r.logs.wantNoSecrets(t)
	})
}

func TestReconcileStopsOnRefusedCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, a := newFakeBus(), &archive{}
		bus.put(webhookChannel())
		a.setFail(func(int, int) error { return fmt.Errorf("401: %w", transports.ErrCredentials) })
		r := archiveRig(t, bus, a, nil)
		r.run(t)
		synctest.Wait() // it has the lease
		archiveRig(t, bus, a, nil).run(t)
		advance(24 * time.Hour)
		if n := len(a.runs()); n != 1 {
			t.Errorf("asked %d times after the refusal", n-1)
		}
		if h := bus.lastHealth(t); h.State != events.NeedsAttention {
			t.Errorf("health %+v", h)
		}
		if n := testutil.ToFloat64(r.Gateway.metrics.reconcile.runs.WithLabelValues("fake", pollCredentials)); n != 1 {
			t.Errorf("counted %v", n)
		}
	})
}

func TestReconcileHonoursRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, a := newFakeBus(), &archive{}
		bus.put(webhookChannel())
		a.setFail(func(int, int) error {
			return &transports.RetryAfterError{After: 40 * time.Minute, Err: errors.New("429")}
		})
		archiveRig(t, bus, a, nil).run(t)
		advance(50 * time.Minute)
		if at := a.starts(); len(at) != 2 || at[1].Sub(at[0]) < 40*time.Minute {
			t.Errorf("asked at %v", at)
		}
	})
}

// A list that never ends is left after a while.
func TestReconcileLeavesAStalledList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(webhookChannel())
		runs := 0
		r := newRig(t, bus, nil)
		r.adapter = func(f *fakeAdapter) error {
			f.reconcile = func(ctx context.Context, _ time.Time, _ func(context.Context, []events.Inbound) error) error {
				r.do(func() { runs++ })
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		r.run(t)
		advance(stalled + time.Minute)
		r.do(func() {
			if runs != 2 || !strings.Contains(r.logs.String(), "without a result") {
				t.Errorf("%d runs: %s", runs, r.logs)
			}
		})
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
