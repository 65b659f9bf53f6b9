package gateway

import (
	"context"
	"encoding/json"
	"errors"
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
