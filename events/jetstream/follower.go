package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// How much a follower holds that nobody asked for yet.
const (
	// prefetchMessages and prefetchBytes bound one request to the server; at
	// most two are under way.
	prefetchMessages = 1000
	prefetchBytes    = 4 << 20
	// queueMessages and queueBytes bound what is decoded and waits.
	queueMessages = 2000
	queueBytes    = 8 << 20
	// nextBytes bounds one answer to Next.
	nextBytes = 8 << 20
	// heartbeat is how often an idle server says that it is there.
	heartbeat = 2 * time.Second
	// consumerIdle is when the server forgets a consumer that nobody reads.
	consumerIdle = 30 * time.Second
)

// stored is a message as it lies in a stream.
type stored struct {
	seq     uint64
	at      time.Time
	subject string
	header  nats.Header
	data    []byte
	pending uint64 // how many more the server had behind it
}

// follower reads a stream in order and keeps reading. It acknowledges nothing:
// its only state is the last sequence number it delivered, and whenever
// anything is doubtful (a lost connection, a missed heartbeat, a jump in the
// consumer's own numbering) it starts a new consumer right behind that.
type follower[T any] struct {
	bus      *Bus
	stream   string
	filter   string
	decode   func(stored) T
	weigh    func(T) int
	identity string
	resets   bool   // records that are no longer kept matter
	last     uint64 // only touched by the goroutine once it runs

	mu    sync.Mutex
	queue []T
	sizes []int
	bytes int
	err   error

	filled  chan struct{} // a token when the queue may have something
	drained chan struct{} // a token when the queue may have room
	cancel  context.CancelFunc
	done    chan struct{}
}

// follow begins behind sequence number after.
func follow[T any](ctx context.Context, b *Bus, stream, filter string, after uint64, decode func(stored) T) (*follower[T], error) {
	return followFrom(ctx, b, stream, filter, after, false, decode, func(T) int { return 1 })
}

// followFrom is follow; resets makes a gap between the last record and the
// oldest that is kept [ErrReset], weigh is how many a value counts for next.
func followFrom[T any](ctx context.Context, b *Bus, stream, filter string, after uint64, resets bool,
	decode func(stored) T, weigh func(T) int,
) (*follower[T], error) {
	info, err := b.streamInfo(ctx, stream)
	if err != nil {
		return nil, err
	}
	if after > info.State.LastSeq {
		return nil, fmt.Errorf("%w: %s ends at %d, before %d", ErrReplaced, stream, info.State.LastSeq, after)
	}
	life, cancel := context.WithCancel(context.Background()) //nolint:gosec // close cancels it; ctx only bounds the start
	f := &follower[T]{
		bus: b, stream: stream, filter: filter, decode: decode, weigh: weigh,
		identity: identity(info), resets: resets, last: after,
		filled: make(chan struct{}, 1), drained: make(chan struct{}, 1),
		cancel: cancel, done: make(chan struct{}),
	}
	go f.run(life)
	return f, nil
}

func (b *Bus) streamInfo(ctx context.Context, stream string) (*natsjs.StreamInfo, error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", stream, unavailable(err))
	}
	return s.CachedInfo(), nil
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (f *follower[T]) run(ctx context.Context) {
	defer close(f.done)
	wait := resumption()
	for {
		before := f.last
		err := f.session(ctx)
		if ctx.Err() != nil {
			err = ErrClosed
		}
		if errors.Is(err, ErrClosed) || errors.Is(err, ErrReplaced) || errors.Is(err, ErrReset) {
			f.fail(err)
			return
		}
		if f.last > before {
			wait.Reset()
		}
		f.bus.log.Info("reading resumes", "stream", f.stream, "after", f.last, "cause", err)
		pause(ctx, wait.NextBackOff())
	}
}

// resumption spaces attempts at reading on.
func resumption() backoff.BackOff {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval, wait.MaxElapsedTime = 20*time.Millisecond, 2*time.Second, 0
	return wait
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (f *follower[T]) fail(err error) {
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
	token(f.filled)
}

// session reads with one consumer until something is wrong.
func (f *follower[T]) session(ctx context.Context) error {
	select {
	case <-f.bus.link.restored():
	case <-f.bus.link.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := f.bus.link.lost()
	go func() {
		select {
		case <-lost:
			cancel()
		case <-ctx.Done():
		}
	}()
	info, err := f.bus.streamInfo(ctx, f.stream)
	switch {
	case errors.Is(err, natsjs.ErrStreamNotFound):
		return fmt.Errorf("%w: %s is gone", ErrReplaced, f.stream)
	case err != nil:
		return err
	case identity(info) != f.identity || info.State.LastSeq < f.last:
		return fmt.Errorf("%w: %s was made at %s and ends at %d; it was %s and past %d", ErrReplaced, f.stream,
			identity(info), info.State.LastSeq, f.identity, f.last)
	case f.resets && f.last > 0 && f.last+1 < info.State.FirstSeq:
		return fmt.Errorf("%w: %s begins at %d, %d was last", ErrReset, f.stream, info.State.FirstSeq, f.last)
	}
	tail, err := f.bus.tail(ctx, f.stream, f.filter, f.last)
	if err != nil {
		return err
	}
	defer tail.close()
	for {
		m, err := tail.next(ctx)
		if err != nil {
			return err
		}
		if err := f.push(ctx, m); err != nil {
			return err
		}
		f.last = m.seq
	}
}

// push queues a message once there is room.
func (f *follower[T]) push(ctx context.Context, m stored) error {
	v := f.decode(m)
	for {
		f.mu.Lock()
		if len(f.queue) == 0 || len(f.queue) < queueMessages && f.bytes+len(m.data) <= queueBytes {
			f.queue = append(f.queue, v)
			f.sizes = append(f.sizes, len(m.data))
			f.bytes += len(m.data)
			f.mu.Unlock()
			token(f.filled)
			return nil
		}
		f.mu.Unlock()
		select {
		case <-f.drained:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next waits for a value and returns it with those already here, whole ones, up
// to limit by weight. A value beyond the limit comes alone.
func (f *follower[T]) next(ctx context.Context, limit int) ([]T, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f.mu.Lock()
		if out := f.pop(max(limit, 1)); len(out) > 0 {
			f.mu.Unlock()
			token(f.drained)
			return out, nil
		}
		err := f.err
		f.mu.Unlock()
		if err != nil {
			token(f.filled) // for the next caller
			return nil, err
		}
		select {
		case <-f.filled:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// pop takes from the queue. The lock must be held.
func (f *follower[T]) pop(limit int) []T {
	n, weight, size := 0, 0, 0
	for n < len(f.queue) {
		w := f.weigh(f.queue[n])
		if n > 0 && (weight+w > limit || size+f.sizes[n] > nextBytes) {
			break
		}
		weight += w
		size += f.sizes[n]
		n++
	}
	if n == 0 {
		return nil
	}
	out := f.queue[:n:n]
	f.queue, f.sizes = f.queue[n:], f.sizes[n:]
	if len(f.queue) == 0 {
		f.queue, f.sizes = nil, nil
	}
	f.bytes -= size
	return out
}

func (f *follower[T]) close() {
	f.cancel()
	<-f.done
}
