package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"parley/events"
	"parley/transports"
)

func TestCheckFeedsHealthAndGauges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(webhookChannel())
		r := newRig(t, bus, nil)
		report, failure := transports.Report{Pending: 3}, error(nil)
		checks := 0
		r.adapter = func(a *fakeAdapter) error {
			a.check = func(context.Context) (transports.Report, error) {
				r.mu.Lock()
				defer r.mu.Unlock()
				checks++
				return report, failure
			}
			return nil
		}
		r.run(t)
		next := func() events.ChannelHealth {
			advance(73 * time.Second) // a minute and its jitter
			return bus.lastHealth(t)
		}
		synctest.Wait()
		if h := bus.lastHealth(t); h.State != events.Connected || h.Pending != 3 || !h.CheckedAt.Equal(time.Now()) {
			t.Errorf("health %+v", h)
		}
		if n := testutil.ToFloat64(r.Gateway.metrics.pending); n != 3 {
			t.Errorf("%v updates pending", n)
		}

		failed := time.Now()
		r.do(func() {
			report = transports.Report{LastError: "Wrong response: 503 from " + testPath, LastErrorAt: failed}
		})
		if h := next(); h.State != events.Degraded || h.Error != "the provider could not deliver: Wrong response: 503 from [redacted]" || h.Since.Before(failed) {
			t.Errorf("health %+v", h)
		}
		wantCode(t, r.answer(delivery("1")), http.StatusOK)
		if h := next(); h.State != events.Connected || h.Error != "" {
			t.Errorf("after a delivery: %+v", h)
		}
		r.do(func() { report.LastErrorAt = time.Now() })
		if h := next(); h.State != events.Degraded {
			t.Errorf("after another error: %+v", h)
		}
		for range 5 {
			next()
		}
		if h := next(); h.State != events.Connected {
			t.Errorf("long after the last error: %+v", h)
		}
		r.do(func() { failure = errors.New("connection reset") })
		if h := next(); h.State != events.Degraded || h.Error != "the provider could not be asked: connection reset" {
			t.Errorf("health %+v", h)
		}
		r.do(func() {
			failure = &transports.RetryAfterError{After: time.Hour, Err: errors.New("slow down")}
			checks = 0
		})
		advance(time.Hour)
		r.do(func() {
			if checks != 1 {
				t.Errorf("asked %d times within the hour that the provider asked for", checks)
			}
		})
		r.logs.wantNoSecrets(t)
	})
}

func TestHealthIsToldOnceTheBusTakesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(webhookChannel())
		var takes atomic.Bool
		bus.onPutHealth = func(events.ChannelHealth) error {
			if !takes.Load() {
				return errors.New("no bus")
			}
			return nil
		}
		r := newRig(t, bus, nil)
		r.run(t)
		synctest.Wait()
		takes.Store(true)
		advance(3 * time.Minute)
		if h := bus.lastHealth(t); h.State != events.Connected || bus.told() != 1 {
			t.Errorf("told %d times, last %+v", bus.told(), h)
		}
	})
}
