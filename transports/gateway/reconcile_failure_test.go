package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"parley/events"
	"parley/transports"
)

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
