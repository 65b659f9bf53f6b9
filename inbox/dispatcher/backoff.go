package dispatcher

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// growing makes jittered waits that double from first to most and never end.
func growing(first, most time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first),
		backoff.WithMaxInterval(most),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.3),
		backoff.WithMaxElapsedTime(0), // zero is for ever; the default gives up after 15 min
	)
}

// waitAfter is how long to wait after that many failed attempts, 1 or more.
func waitAfter(attempts int, first, most time.Duration) time.Duration {
	b := growing(first, most)
	wait := b.NextBackOff()
	// 30 doublings are beyond any limit.
	for range min(attempts, 30) - 1 {
		wait = b.NextBackOff()
	}
	return wait
}

// maxRetryAfter bounds a provider's wish: a mistaken one must not park a message
// for good.
const maxRetryAfter = 24 * time.Hour

// honoured is a provider's wish plus up to a tenth, so that not everybody comes
// back at once: never earlier than asked for.
func honoured(after time.Duration) time.Duration {
	after = min(after, maxRetryAfter)
	return after + time.Duration(0.1*rand.Float64()*float64(after)) //nolint:gosec // jitter is no secret
}
