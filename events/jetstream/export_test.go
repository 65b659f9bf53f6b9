package jetstream

import (
	"context"
	"testing"
	"time"
)

// Inner parts that tests in jetstream_test drive.
var (
	CheckVersion = checkVersion
	Redact       = redact
)

// HoldWrites keeps everything in the queues until release is called.
func (b *Bus) HoldWrites() (release func()) {
	for range cap(b.writes) {
		b.writes <- struct{}{}
	}
	return func() {
		for range cap(b.writes) {
			<-b.writes
		}
	}
}

// AwaitQueued waits until n callers wait in front of a partition.
func (b *Bus) AwaitQueued(t testing.TB, partition, n int) {
	t.Helper()
	p := b.parts[partition]
	await(t, n, func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.queue)
	})
}

func await(t testing.TB, n int, current func() int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		got := current()
		if got == n {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("there are %d, not %d", got, n)
		case <-tick.C:
		}
	}
}

// SetClock replaces the bus's clock, before anything used it.
func (b *Bus) SetClock(now func() time.Time) { b.now = now }

// Decode is how a reader decodes stored bytes.
func Decode(seq uint64, data []byte) []Record { return decodeFrame(stored{seq: seq, data: data}) }

// AwaitRead waits until r has n frames that nobody asked for yet.
func (r *Reader) AwaitRead(t testing.TB, n int) {
	t.Helper()
	await(t, n, func() int {
		r.f.mu.Lock()
		defer r.f.mu.Unlock()
		return len(r.f.queue)
	})
}

// EachHealth calls f with the keys of the health bucket, as Health finds them.
func (b *Bus) EachHealth(ctx context.Context, f func(key string) error) error {
	return b.kvEach(ctx, healthBucket, func(v kvValue) error { return f(v.key) })
}
