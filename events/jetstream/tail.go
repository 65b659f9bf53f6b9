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
	bus      *Bus
	stream   string
	name     string
	consumer natsjs.ConsumeContext
	messages chan natsjs.Msg
	errs     chan error
	done     chan struct{}
	// atStart is how many messages there were when it was made.
	atStart uint64
	seq     uint64 // last stream sequence
	count   uint64 // last consumer sequence: contiguous, or something was lost on the way
}

// tailBuffer spares a switch of goroutines per message; the prefetched messages
// wait in the NATS client.
const tailBuffer = 8

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
	t := &tail{
		bus: b, stream: stream, name: info.Name, atStart: info.NumPending, seq: after,
		messages: make(chan natsjs.Msg, tailBuffer), errs: make(chan error, 1), done: make(chan struct{}),
	}
	// A message beyond the limit would never come.
	limit := max(prefetchBytes, 2*int(b.link.conn.MaxPayload()))
	// Not Messages: its queue holds exactly what was asked for, and a status
	// message on top of that makes the client drop messages of a slow reader.
	t.consumer, err = c.Consume(t.take,
		natsjs.PullMaxMessagesWithBytesLimit(prefetchMessages, limit),
		natsjs.PullExpiry(10*heartbeat),
		natsjs.PullHeartbeat(heartbeat),
		natsjs.ConsumeErrHandler(func(_ natsjs.ConsumeContext, err error) {
			select {
			case t.errs <- err:
			default: // one is enough
			}
		}))
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", stream, unavailable(err))
	}
	return t, nil
}

// take blocks the client's goroutine while the reader is slow; what arrives
// meanwhile is bounded by what was asked for.
func (t *tail) take(m natsjs.Msg) {
	select {
	case t.messages <- m:
	case <-t.done:
	}
}

func (t *tail) next(ctx context.Context) (stored, error) {
	var msg natsjs.Msg
	select {
	case msg = <-t.messages:
	case err := <-t.errs:
		return stored{}, fmt.Errorf("read stream %s: %w", t.stream, err)
	case <-ctx.Done():
		return stored{}, fmt.Errorf("read stream %s: %w", t.stream, ctx.Err())
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
	close(t.done)
	t.consumer.Stop()
	if !t.bus.link.conn.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = t.bus.js.DeleteConsumer(ctx, t.stream, t.name)
}

// scanPatience is how long a scan waits for a message that was there a moment
// ago before it looks whether it still is.
const scanPatience = 3 * time.Second

// scan reads what a stream holds now, from..to, of subjects that filter matches,
// all when it is empty, and ends. Like a follower it
// goes on behind the last message when anything is doubtful; it gives up once
// nothing came for three times the acknowledgement timeout.
func scan(ctx context.Context, b *Bus, stream, filter string, from, to uint64, f func(stored) error) error {
	info, err := b.streamInfo(ctx, stream)
	if err != nil {
		return err
	}
	if to == 0 || to > info.State.LastSeq {
		to = info.State.LastSeq
	}
	from = max(from, 1)
	var own error
	deliver := func(m stored) error {
		own = f(m)
		return own
	}
	wait := resumption()
	progress := time.Now()
	for from <= to {
		next, err := scanTail(ctx, b, stream, filter, identity(info), from, to, deliver)
		if own != nil {
			return own
		}
		if next > from {
			from, progress = next, time.Now()
			wait.Reset()
		}
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil:
			return fmt.Errorf("scan stream %s: %w", stream, ctx.Err())
		case errors.Is(err, ErrReplaced):
			return err
		case time.Since(progress) > 3*b.opts.AckTimeout:
			return unavailable(err)
		}
		b.log.Info("scanning resumes", "stream", stream, "from", from, "cause", err)
		pause(ctx, wait.NextBackOff())
	}
	return nil
}

// scanTail reads with one consumer and returns where to go on: behind to when
// there is no more. An error leaves the rest to another consumer.
func scanTail(ctx context.Context, b *Bus, stream, filter, id string, from, to uint64, f func(stored) error) (uint64, error) {
	info, err := b.streamInfo(ctx, stream)
	if err != nil {
		return from, err
	}
	if identity(info) != id {
		return from, fmt.Errorf("%w: %s was made anew at %s", ErrReplaced, stream, identity(info))
	}
	t, err := b.tail(ctx, stream, filter, from-1)
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
		case err != nil: // that nothing came may mean that somebody deleted it
			return t.seq + 1, err
		case m.seq > to:
			return to + 1, nil
		}
		if err := f(m); err != nil {
			return m.seq, err
		}
		if m.seq == to || m.pending == 0 {
			return to + 1, nil
		}
	}
}
