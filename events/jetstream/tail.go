package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// tail is one ephemeral consumer: messages in order, no acknowledgements, and
// an error at the first doubt.
type tail struct {
	bus    *Bus
	stream string
	name   string
	iter   natsjs.MessagesContext
	// atStart is how many messages there were when it was made.
	atStart uint64
	seq     uint64 // last stream sequence
	count   uint64 // last consumer sequence: contiguous, or something was lost on the way
}

var errJump = errors.New("messages were lost on the way")

// tail reads behind sequence number after; filter "" is every subject.
func (b *Bus) tail(ctx context.Context, stream, filter string, after uint64) (*tail, error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	c, err := b.js.CreateConsumer(ctx, stream, natsjs.ConsumerConfig{
		AckPolicy:         natsjs.AckNonePolicy,
		DeliverPolicy:     natsjs.DeliverByStartSequencePolicy,
		OptStartSeq:       after + 1,
		FilterSubject:     filter,
		MemoryStorage:     true, // it holds nothing that we need
		Replicas:          1,
		InactiveThreshold: consumerIdle,
	})
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", stream, unavailable(err))
	}
	info := c.CachedInfo()
	// A message beyond the limit would never come.
	limit := max(prefetchBytes, 2*int(b.link.conn.MaxPayload()))
	iter, err := c.Messages(
		natsjs.PullMaxMessagesWithBytesLimit(prefetchMessages, limit),
		natsjs.PullExpiry(10*heartbeat),
		natsjs.PullHeartbeat(heartbeat),
		natsjs.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", stream, unavailable(err))
	}
	return &tail{bus: b, stream: stream, name: info.Name, iter: iter, atStart: info.NumPending, seq: after}, nil
}

func (t *tail) next(ctx context.Context) (stored, error) {
	msg, err := t.iter.Next(natsjs.NextContext(ctx))
	if err != nil {
		return stored{}, fmt.Errorf("read stream %s: %w", t.stream, err)
	}
	meta, err := msg.Metadata()
	if err != nil {
		return stored{}, fmt.Errorf("read stream %s: %w", t.stream, err)
	}
	if meta.Sequence.Consumer != t.count+1 || meta.Sequence.Stream <= t.seq {
		return stored{}, fmt.Errorf("%w: %s at %d, number %d of the consumer, after %d and %d", errJump, t.stream,
			meta.Sequence.Stream, meta.Sequence.Consumer, t.seq, t.count)
	}
	t.seq, t.count = meta.Sequence.Stream, meta.Sequence.Consumer
	return stored{
		seq: t.seq, at: meta.Timestamp, subject: msg.Subject(), header: msg.Headers(), data: msg.Data(),
		pending: meta.NumPending,
	}, nil
}

// close tells the server to forget the consumer; if it cannot be reached, it
// forgets by itself.
func (t *tail) close() {
	t.iter.Stop()
	if !t.bus.link.conn.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = t.bus.js.DeleteConsumer(ctx, t.stream, t.name)
}

// scanPatience is how long a scan waits for a record that was there a moment
// ago before it looks whether it still is.
const scanPatience = 3 * time.Second

// scan reads what a stream holds now, from..to, and ends.
func scan(ctx context.Context, b *Bus, stream string, from, to uint64, f func(stored) error) error {
	info, err := b.streamInfo(ctx, stream)
	if err != nil {
		return err
	}
	if to == 0 || to > info.State.LastSeq {
		to = info.State.LastSeq
	}
	from = max(from, 1)
	for from <= to {
		if from, err = scanTail(ctx, b, stream, from, to, f); err != nil {
			return err
		}
	}
	return nil
}

// scanTail reads with one consumer and returns where to go on: behind to when
// there is no more.
func scanTail(ctx context.Context, b *Bus, stream string, from, to uint64, f func(stored) error) (uint64, error) {
	t, err := b.tail(ctx, stream, "", from-1)
	if err != nil {
		return from, err
	}
	defer t.close()
	if t.atStart == 0 {
		return to + 1, nil
	}
	for {
		next, cancel := context.WithTimeout(ctx, scanPatience)
		m, err := t.next(next)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			return t.seq + 1, nil // somebody deleted what was promised
		case err != nil:
			return from, unavailable(err)
		case m.seq > to:
			return to + 1, nil
		}
		if err := f(m); err != nil {
			return from, err
		}
		if m.seq == to || m.pending == 0 {
			return to + 1, nil
		}
	}
}
