package inbox_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"parley/inbox"
)

func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if !inbox.Pause(ctx, 40*time.Second) || time.Since(began) != 40*time.Second {
			t.Errorf("paused for %s", time.Since(began))
		}
		if inbox.Pause(ctx, 40*time.Second) || time.Since(began) != time.Minute {
			t.Errorf("went on after %s although the context ended", time.Since(began))
		}
	})
}

func TestAround(t *testing.T) {
	t.Parallel()
	for range 1000 {
		if got := inbox.Around(time.Minute); got < 48*time.Second || got > 72*time.Second {
			t.Fatalf("around a minute is %s", got)
		}
	}
}
