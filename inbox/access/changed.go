package access

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"parley/events"
)

// changes are those who wait for something to be revoked, by tenant.
type changes struct {
	mu   sync.Mutex
	wait map[events.TenantID]chan struct{}
}

// Changed is closed once something about who may do what in a tenant changed, at
// whichever replica: a session or token was revoked, a user disabled or given
// another role. It is a wake-up while Watch runs, and may be missing.
func (g *Guard) Changed(tenant events.TenantID) <-chan struct{} {
	g.changes.mu.Lock()
	defer g.changes.mu.Unlock()
	if g.changes.wait == nil {
		g.changes.wait = map[events.TenantID]chan struct{}{}
	}
	c := g.changes.wait[tenant]
	if c == nil {
		c = make(chan struct{})
		g.changes.wait[tenant] = c
	}
	return c
}

func (c *changes) tell(tenant events.TenantID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.wait[tenant]; w != nil {
		close(w)
		delete(c.wait, tenant)
	}
}

func (c *changes) tellAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for tenant, w := range c.wait {
		close(w)
		delete(c.wait, tenant)
	}
}

// Watch makes Changed work until ctx ends. Ready, if not nil, is called whenever
// nothing more is missed.
func (g *Guard) Watch(ctx context.Context, log *slog.Logger, ready func()) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval, wait.MaxElapsedTime = 100*time.Millisecond, 5*time.Second, 0
	for ctx.Err() == nil {
		err := g.db.ListenAccess(ctx, func() {
			wait.Reset()
			g.changes.tellAll() // what happened while nobody listened
			if ready != nil {
				ready()
			}
		}, g.changes.tell)
		if ctx.Err() != nil {
			return
		}
		log.WarnContext(ctx, "revocations are noticed late: the database does not tell of them", "error", err)
		timer := time.NewTimer(wait.NextBackOff())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}
