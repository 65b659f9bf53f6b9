package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"math"
	"sync"
)

// presenceGroup is where replicas say that they are here.
const presenceGroup = "gateways"

// errShare ends a shift so that another replica gets a channel, too.
var errShare = errors.New("other replicas get their share")

// share bounds how many channels one replica holds: as many as there are, divided
// by the replicas. The zero value bounds nothing.
type share struct {
	mu       sync.Mutex
	held     int
	replicas int // 0 while unknown
}

// most is how many of all channels one replica may hold.
func (s *share) most(all int) int {
	if s.replicas < 2 {
		return math.MaxInt
	}
	return (all + s.replicas - 1) / s.replicas
}

// room reports whether one more of all channels is worth asking for. It counts
// nothing: what is asked for is mostly somebody else's.
func (s *share) room(all int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held < s.most(all)
}

// take reports whether one more of all channels may be held, and counts it.
func (s *share) take(all int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held >= s.most(all) {
		return false
	}
	s.held++
	return true
}

// give counts one less.
func (s *share) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held--
}

// shed reports whether one must be left, and counts it as left already, so that no
// more than necessary are.
func (s *share) shed(all int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held <= s.most(all) {
		return false
	}
	s.held--
	return true
}

func (s *share) setReplicas(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas = n
}

// present says that this replica is here, and learns how many are, until ctx ends.
// While the bus does not tell, the last number stands.
func (g *Gateway) present(ctx context.Context) {
	me := rand.Text()
	ttl := g.limits.Lease
	for {
		ask, cancel := context.WithTimeout(ctx, ttl/3)
		n, err := g.bus.Present(ask, presenceGroup, me, ttl)
		cancel()
		switch {
		case err == nil:
			g.share.setReplicas(n)
		case ctx.Err() == nil:
			g.log.LogAttrs(ctx, slog.LevelDebug, "replicas are not known", slog.String("error", err.Error()))
		}
		if !pause(ctx, around(ttl/4)) {
			break
		}
	}
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), ttl/3)
	defer cancel()
	if err := g.bus.Absent(leave, presenceGroup, me); err != nil {
		g.log.LogAttrs(leave, slog.LevelDebug, "other replicas notice later that this one left", slog.String("error", err.Error()))
	}
}

// yield waits until this replica holds more than its share, which it returns as an
// error, or ctx ends.
func (g *Gateway) yield(ctx context.Context) error {
	for pause(ctx, around(g.limits.Lease/2)) {
		if g.share.shed(g.table.active()) {
			return errShare
		}
	}
	return nil
}
