package desk

import (
	"context"
	"sync"
	"time"

	"parley/inbox"
)

// presenceEvery is how often it is noted who has a page open.
const presenceEvery = 30 * time.Second

// presence counts the streams that users have open at this process.
type presence struct {
	mu   sync.Mutex
	open map[inbox.Present]int
	// news says that somebody came.
	news chan struct{}
}

func (p *presence) changed() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.news == nil {
		p.news = make(chan struct{}, 1)
	}
	return p.news
}

// Enter counts a user as having a page open until the returned function is called.
func (d *Desk) Enter(who inbox.Present) (leave func()) {
	p := &d.present
	news := p.changed()
	p.mu.Lock()
	if p.open == nil {
		p.open = map[inbox.Present]int{}
	}
	p.open[who]++
	first := p.open[who] == 1
	p.mu.Unlock()
	if first {
		select {
		case news <- struct{}{}:
		default:
		}
	}
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.open[who]--; p.open[who] == 0 {
			delete(p.open, who)
		}
	})
}

// RunPresence notes who has a page open here, twice a minute and when somebody comes,
// until ctx ends. A page that closes counts for another minute and a half, so one
// that reconnects is never gone.
func (d *Desk) RunPresence(ctx context.Context, process string) {
	news := d.present.changed()
	timer := time.NewTicker(presenceEvery)
	defer timer.Stop()
	for {
		if err := d.NotePresence(ctx, process); err != nil && ctx.Err() == nil {
			d.log().WarnContext(ctx, "it is not noted who has a page open, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-news:
		}
	}
}

// NotePresence notes who has a page open here now.
func (d *Desk) NotePresence(ctx context.Context, process string) error {
	p := &d.present
	p.mu.Lock()
	who := make([]inbox.Present, 0, len(p.open))
	for one := range p.open {
		who = append(who, one)
	}
	p.mu.Unlock()
	return d.Store.Present(ctx, process, who)
}
