package gateway

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// pauses are growing, jittered pauses that never end.
func (g *Gateway) pauses() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(g.limits.FirstPause),
		backoff.WithMaxInterval(g.limits.LongestPause),
		backoff.WithMaxElapsedTime(0), // zero is for ever; the default gives up after 15 min
	)
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// around is d changed by up to a fifth, so that replicas and channels that
// started together do not go on in step.
func around(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // jitter is no secret
}

// atLeast is d plus up to a tenth: never earlier than a provider asked for.
func atLeast(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + 0.1*rand.Float64())) //nolint:gosec // jitter is no secret
}
