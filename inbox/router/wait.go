package router

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"

	"parley/inbox"
)

// newBackOff waits 50 ms at first and 5 s at most, with jitter, for ever.
func newBackOff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second),
		backoff.WithMaxElapsedTime(0),
	)
}

// wait repeats try until it succeeds, ctx ends, or the error is permanent. It
// logs the first failure and then one in ten.
func wait(ctx context.Context, log *slog.Logger, what string, try func() error) error {
	var failures int
	err := backoff.RetryNotify(try, backoff.WithContext(newBackOff(), ctx), func(err error, next time.Duration) {
		if failures%10 == 0 {
			log.Warn("failed, trying again", "doing", what, "error", err, "in", next.Round(time.Millisecond), "failures", failures+1)
		}
		failures++
	})
	if err == nil && failures > 0 {
		log.Info("works again", "doing", what, "failures", failures)
	}
	return err
}

// permanentIfOurs makes an error that a person has to act on end the waiting.
func permanentIfOurs(err error) error {
	var ours *inbox.Error
	if errors.As(err, &ours) {
		return backoff.Permanent(err)
	}
	return err
}
