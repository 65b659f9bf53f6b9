package gateway

import (
	"context"
	"sync"
)

// drain counts work in flight, bounds it, and can be closed: nothing enters
// afterwards, and waiting ends when what was inside has left. A WaitGroup does
// not allow entering while somebody waits.
type drain struct {
	mu     sync.Mutex
	limit  int
	inside int
	closed bool
	empty  chan struct{}
}

func newDrain(limit int) *drain {
	return &drain{limit: limit, empty: make(chan struct{})}
}

// enter reports whether work may start; leave must follow then.
func (d *drain) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.inside >= d.limit {
		return false
	}
	d.inside++
	return true
}

// leave ends one piece of work.
func (d *drain) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
	if d.closed && d.inside == 0 {
		close(d.empty)
	}
}

// close lets nothing in any more and waits until all have left or ctx ends.
func (d *drain) close(ctx context.Context) error {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		if d.inside == 0 {
			close(d.empty)
		}
	}
	d.mu.Unlock()
	select {
	case <-d.empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
