package gateway

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricsFollowTheConventions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(pollingChannel())
		r := newRig(t, bus, nil)
		r.run(t)
		synctest.Wait()
		wantCode(t, r.answer(delivery("1")), http.StatusOK)
		problems, err := testutil.GatherAndLint(r.metrics)
		if err != nil || len(problems) > 0 {
			t.Errorf("%v %v", problems, err)
		}
		families, err := r.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if s := f.String(); strings.Contains(s, testPath) || strings.Contains(s, testSecret) {
				t.Errorf("a secret in %s", s)
			}
		}
		if _, err := New(Options{Bus: bus, Registerer: r.metrics}); err == nil {
			t.Error("metrics were registered twice")
		}
	})
}
