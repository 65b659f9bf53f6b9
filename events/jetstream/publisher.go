package jetstream

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Bounds of what goes out together.
const (
	// maxBatch is the most events of a frame and messages of a batch; the server's
	// own limit for batches is 1,000
	// (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md).
	maxBatch = 500
	// maxFrameBytes is half of the smallest usual payload limit; a single event
	// may be larger.
	maxFrameBytes = 512 << 10
	// maxBatchBytes keeps one exchange well below what a connection buffers.
	maxBatchBytes = 4 << 20
	// maxQueuedBytes may wait in front of one stream.
	maxQueuedBytes = 64 << 20
	// headerRoom is what the headers of a batch add to a message: four names,
	// a 22 character id and three numbers.
	headerRoom = 220
)

// entry is one event or fact to publish.
type entry struct {
	subject string
	data    []byte
	// trace is W3C trace context, if any; it goes into the headers.
	trace string
}

// size is what an entry takes of a frame or batch.
func (e *entry) size() int {
	if e.trace == "" {
		return len(e.data) + 1
	}
	return len(e.data) + 1 + len(traceHeader) + len(e.trace) + 4
}

// group is what one caller wants stored together: whole, or not at all.
type group struct {
	entries []entry
	bytes   int  // with separators
	sent    bool // guarded by publisher.mu; from then on only the outcome decides
	done    chan error
	// after, when not nil, is the sequence number that the stream must end at for
	// the group to be stored; where it ends then is written there before done.
	after *uint64
}

func (g *group) settle(err error) { g.done <- err }

// publisher stores messages in one stream, one exchange at a time. For a
// partition a goroutine of its own takes whatever waits and sends it as one
// frame, so that callers share the cost of a durable write: the busier the
// stream, the larger the frames. There is no linger; while one frame is being
// written, the next gathers. Facts, which have few callers and a subject each,
// go in the batches that their caller offers.
type publisher struct {
	bus     *Bus
	stream  string
	facts   bool
	timeout time.Duration
	inbox   string
	acks    chan *nats.Msg
	sub     *nats.Subscription

	nextID uint64 // this and frame are only touched by the goroutine
	frame  []byte

	mu     sync.Mutex
	queue  []*group
	bytes  int
	closed bool

	wake    chan struct{}
	stopped chan struct{}
}

func newPublisher(b *Bus, stream string) *publisher {
	return &publisher{
		bus:     b,
		stream:  stream,
		facts:   stream == factStream,
		timeout: b.opts.AckTimeout,
		inbox:   b.link.conn.NewInbox(),
		acks:    make(chan *nats.Msg, 2*maxBatch),
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
	}
}

func (p *publisher) start() error {
	sub, err := p.bus.link.conn.ChanSubscribe(p.inbox+".*", p.acks)
	if err != nil {
		close(p.stopped)
		return fmt.Errorf("subscribe to acknowledgements: %w", unavailable(err))
	}
	p.sub = sub
	go p.run()
	return nil
}

// stop refuses new groups; what waits is still sent.
func (p *publisher) stop() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.signal()
}

func (p *publisher) wait() {
	if p.sub != nil {
		<-p.stopped
	}
}

func (p *publisher) signal() {
	select {
	case p.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// together is how many bytes may go out at once.
func (p *publisher) together() int {
	if p.facts {
		return maxBatchBytes
	}
	return min(maxFrameBytes, int(p.bus.link.conn.MaxPayload())-headerRoom)
}

// publish stores entries, in order, in as few groups as the bounds allow, each
// awaited before the next.
func (p *publisher) publish(ctx context.Context, entries []entry) error {
	return p.publishAfter(ctx, entries, nil)
}

// publishAfter is publish where nothing may have been stored since *after, which
// moves along; see group.
func (p *publisher) publishAfter(ctx context.Context, entries []entry, after *uint64) error {
	limit, together := int(p.bus.link.conn.MaxPayload())-headerRoom, p.together()
	for _, e := range entries {
		if len(e.data) > limit {
			return fmt.Errorf("%w: %d bytes, the server takes %d", ErrTooLarge, len(e.data), limit)
		}
	}
	for len(entries) > 0 {
		n, size := 0, 0
		for n < len(entries) && n < maxBatch && (n == 0 || size+entries[n].size() <= together) {
			size += entries[n].size()
			n++
		}
		if err := p.offer(ctx, &group{entries: entries[:n], bytes: size, done: make(chan error, 1), after: after}); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// offer queues g and waits for its outcome. A caller that gives up before g was
// sent takes it back; after that the outcome decides, within the timeout.
func (p *publisher) offer(ctx context.Context, g *group) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	switch {
	case p.closed:
		p.mu.Unlock()
		return ErrClosed
	case p.bytes+g.bytes > maxQueuedBytes:
		p.mu.Unlock()
		return fmt.Errorf("%w: %d MB wait in front of stream %s", ErrBackPressure, p.bytes>>20, p.stream)
	}
	p.queue = append(p.queue, g)
	p.bytes += g.bytes
	p.mu.Unlock()
	p.signal()
	select {
	case err := <-g.done:
		return err
	case <-ctx.Done():
		if p.takeBack(g) {
			return ctx.Err()
		}
		return <-g.done
	}
}

// takeBack removes g from the queue if it was not sent.
func (p *publisher) takeBack(g *group) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.sent {
		return false
	}
	for i, q := range p.queue {
		if q == g {
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			p.bytes -= g.bytes
			break
		}
	}
	return true
}

// take removes what can go out together from the front of the queue.
func (p *publisher) take() (groups []*group, messages int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size, together := 0, p.together()
	for _, g := range p.queue {
		if len(groups) > 0 && (p.facts || messages+len(g.entries) > maxBatch || size+g.bytes > together) {
			break
		}
		g.sent = true
		groups = append(groups, g)
		messages += len(g.entries)
		size += g.bytes
	}
	p.queue = append(p.queue[:0], p.queue[len(groups):]...)
	clear(p.queue[len(p.queue):cap(p.queue)]) // let go of what was sent
	p.bytes -= size
	return groups, messages
}

// hasWork waits until something is queued; false once stopped and drained.
func (p *publisher) hasWork() bool {
	for {
		p.mu.Lock()
		queued, closed := len(p.queue) > 0, p.closed
		p.mu.Unlock()
		if queued || closed {
			return queued
		}
		<-p.wake
	}
}

func (p *publisher) run() {
	defer close(p.stopped)
	defer func() { _ = p.sub.Unsubscribe() }()
	for p.hasWork() {
		p.bus.writes <- struct{}{}
		// Only now, so that what came while waiting goes along; callers that were
		// just answered get a turn first, or two halves would take turns for ever.
		runtime.Gosched()
		switch groups, messages := p.take(); {
		case len(groups) == 0: // taken back
		case p.facts:
			p.sendFacts(groups[0])
		default:
			p.sendFrame(groups, messages)
		}
		<-p.bus.writes
	}
}

// sendFrame stores what groups hold as one message: all of it or nothing.
func (p *publisher) sendFrame(groups []*group, messages int) {
	start := time.Now()
	m := &nats.Msg{Subject: groups[0].entries[0].subject, Data: groups[0].entries[0].data}
	if messages > 1 {
		p.frame = p.frame[:0]
		for _, g := range groups {
			p.frame = appendFrame(p.frame, g.entries)
		}
		m.Data = p.frame
	}
	m.Header = traces(groups, messages)
	_, err := p.exchange(m)
	if messages > 1 && errors.Is(err, ErrTooLarge) {
		// Each event was within the limit, so it fell just now: those that are
		// still within it pass when they come again.
		err = fmt.Errorf("%w: a frame of %d events was refused: %s", ErrUnavailable, messages, err.Error())
	}
	p.bus.opts.Observer.published(p.stream, messages, false, time.Since(start), err)
	for _, g := range groups {
		g.settle(err)
	}
}
