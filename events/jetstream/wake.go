package jetstream

import (
	"fmt"

	"github.com/nats-io/nats.go"
)

// Wake nudges whoever listens under name, in any process. It may be lost:
// listeners poll as well. An invalid name wakes nobody.
func (b *Bus) Wake(name string) {
	if validToken(name) {
		_ = b.link.conn.Publish(wakePrefix+name, nil) // best effort by contract
	}
}

// OnWake calls f for each wake-up under name until stop is called. f runs on
// one goroutine and must return quickly; it should coalesce.
func (b *Bus) OnWake(name string, f func()) (stop func(), err error) {
	if !validToken(name) {
		return nil, fmt.Errorf("%w: wake-up name %q", ErrInvalid, name)
	}
	sub, err := b.link.conn.Subscribe(wakePrefix+name, func(*nats.Msg) { f() })
	if err != nil {
		return nil, fmt.Errorf("listen for wake-ups: %w", unavailable(err))
	}
	if err := b.link.conn.Flush(); err != nil { // so that a wake-up from now on arrives
		_ = sub.Unsubscribe()
		return nil, fmt.Errorf("listen for wake-ups: %w", unavailable(err))
	}
	return func() { _ = sub.Unsubscribe() }, nil
}
