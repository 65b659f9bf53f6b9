package jetstream

import (
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
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		p.mu.Lock()
		got := len(p.queue)
		p.mu.Unlock()
		if got == n {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%d callers wait, not %d", got, n)
		case <-tick.C:
		}
	}
}

// SetClock replaces the bus's clock, before anything used it.
func (b *Bus) SetClock(now func() time.Time) { b.now = now }

// Decode is how a reader decodes stored bytes.
func Decode(seq uint64, data []byte) []Record { return decodeFrame(stored{seq: seq, data: data}) }
