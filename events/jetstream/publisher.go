package jetstream

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Bounds of what goes out together.
const (
	// maxBatch messages; the server's own limit is 1,000
	// (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md).
	maxBatch = 500
	// maxBatchBytes keeps one exchange well below what a connection buffers.
	maxBatchBytes = 4 << 20
	// maxQueuedBytes may wait in front of one stream.
	maxQueuedBytes = 64 << 20
	// headerRoom is what the headers of a batch add to a message: three names,
	// a 22 character id and two numbers.
	headerRoom = 160
)

// entry is one message to publish.
type entry struct {
	subject string
	data    []byte
}

// group is what one caller wants stored together: whole, or not at all.
type group struct {
	entries []entry
	bytes   int
	sent    bool // guarded by publisher.mu; from then on only the outcome decides
	done    chan error
}

func (g *group) settle(err error) { g.done <- err }

// publisher stores messages in one stream. A goroutine of its own takes
// whatever waits and sends it together, so that callers share the cost of a
// durable write: the busier the stream, the larger the batches. There is no
// linger; while one batch is being written, the next gathers.
type publisher struct {
	bus     *Bus
	stream  string
	timeout time.Duration
	inbox   string
	acks    chan *nats.Msg
	sub     *nats.Subscription
	nextID  uint64 // only touched by the goroutine
	cost    cost

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

// publish stores entries, in order, in as few batches as the bounds allow, each
// awaited before the next.
func (p *publisher) publish(ctx context.Context, entries []entry) error {
	limit := int(p.bus.link.conn.MaxPayload()) - headerRoom
	for _, e := range entries {
		if len(e.data) > limit {
			return fmt.Errorf("%w: %d bytes, the server takes %d", ErrTooLarge, len(e.data), limit)
		}
	}
	for len(entries) > 0 {
		n, size := 0, 0
		for n < len(entries) && n < maxBatch && (n == 0 || size+len(entries[n].data) <= maxBatchBytes) {
			size += len(entries[n].data)
			n++
		}
		if err := p.offer(ctx, &group{entries: entries[:n], bytes: size, done: make(chan error, 1)}); err != nil {
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
	size := 0
	for _, g := range p.queue {
		if len(groups) > 0 && (messages+len(g.entries) > maxBatch || size+g.bytes > maxBatchBytes) {
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
		if groups, messages := p.take(); len(groups) > 0 {
			p.send(groups, messages)
		}
		<-p.bus.writes
	}
}

// send settles every group. A refusal of a batch is taken to the groups one by
// one, so that only the guilty one learns of it.
func (p *publisher) send(groups []*group, messages int) {
	// As many groups as messages: nobody needs several stored together.
	if messages == 1 || len(groups) == messages && !p.cost.batchIsCheaper(messages) {
		p.sendSingly(groups)
		return
	}
	err := p.sendBatch(groups, messages, false)
	if !refused(err) {
		for _, g := range groups {
			g.settle(err)
		}
		return
	}
	p.bus.log.Warn("a batch was refused, trying its parts", "stream", p.stream, "messages", messages, "error", err)
	for i := 0; i < len(groups); {
		n := i
		for n < len(groups) && len(groups[n].entries) == 1 {
			n++
		}
		if n > i {
			p.sendSingly(groups[i:n])
			i = n
			continue
		}
		groups[i].settle(p.sendBatch(groups[i:i+1], len(groups[i].entries), true))
		i++
	}
}

// cost learns what sending costs, in seconds: an atomic batch has a fixed price
// (the server stages it in a file of its own), single messages one fsync each.
// On fast disks a dozen single messages are cheaper than a batch, on slow ones
// three are not.
type cost struct{ single, batch float64 }

const (
	costSmoothing  = 0.2
	smallBatch     = 64 // beyond this the messages themselves show in a batch's time
	firstCrossover = 8
	maxCrossover   = 32
)

func (c *cost) batchIsCheaper(messages int) bool {
	if messages > maxCrossover {
		return true
	}
	if c.single == 0 || c.batch == 0 {
		return messages >= firstCrossover
	}
	return float64(messages)*c.single > c.batch
}

func (c *cost) sentSingly(messages int, took time.Duration) {
	c.single = smooth(c.single, took.Seconds()/float64(messages))
}

func (c *cost) sentBatch(messages int, took time.Duration) {
	if messages <= smallBatch {
		c.batch = smooth(c.batch, took.Seconds())
	}
}

func smooth(old, sample float64) float64 {
	if old == 0 {
		return sample
	}
	return old + costSmoothing*(sample-old)
}
