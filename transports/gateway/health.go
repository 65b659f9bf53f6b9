package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"parley/events"
)

// aspect is one thing that can be wrong with a channel. Where several are, the
// worst is told, of equals the first in this order.
type aspect int

const (
	aspectSetup    aspect = iota // settings and secrets
	aspectConnect                // telling the provider where to deliver
	aspectPoll                   // asking the provider for news
	aspectCheck                  // asking the provider how deliveries fare
	aspectDelivery               // what the provider said about its deliveries
	aspects
)

// trouble is what is wrong with an aspect; no words are none.
type trouble struct {
	state events.HealthState
	words string
}

// reporter keeps one account's health while this replica holds its lease. The
// contexts it is given end with that lease: what came after is not ours to tell.
type reporter struct {
	g   *Gateway
	acc *account

	mu       sync.Mutex
	troubles [aspects]trouble
	health   Health
	told     bool
}

func (g *Gateway) newReporter(acc *account) *reporter {
	return &reporter{g: g, acc: acc}
}

// fail reports trouble.
func (r *reporter) fail(ctx context.Context, a aspect, state events.HealthState, words string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.troubles[a] = trouble{state, words}
	r.settle(ctx)
}

// well reports that aspects work.
func (r *reporter) well(ctx context.Context, as ...aspect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range as {
		r.troubles[a] = trouble{}
	}
	r.settle(ctx)
}

// tell tries again to make known what the bus did not take.
func (r *reporter) tell(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.health.State != "" {
		r.settle(ctx)
	}
}

// settle works out the health and makes a change of it known. It needs the lock,
// which also keeps changes in order on the bus.
func (r *reporter) settle(ctx context.Context) {
	worst := trouble{state: events.Connected}
	for _, t := range r.troubles {
		if severity(t.state) > severity(worst.state) {
			worst = t
		}
	}
	changed := worst.state != r.health.State
	if changed {
		r.health = Health{Channel: r.acc.ch.ID, Tenant: r.acc.ch.Tenant, State: worst.state, Since: time.Now().UTC()}
		r.g.metrics.setHealth(r.acc.ch, worst.state)
	}
	if worst.words != r.health.Error {
		r.health.Error, r.told = worst.words, false
	}
	if changed {
		r.told = false
		level := slog.LevelInfo
		if worst.state != events.Connected {
			level = slog.LevelWarn
		}
		r.g.log.LogAttrs(ctx, level, "channel health",
			append(r.acc.logAttrs(), slog.String("state", string(worst.state)), slog.String("error", worst.words))...)
	}
	if r.told {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.g.limits.Publish)
	defer cancel()
	if err := r.g.bus.PutHealth(ctx, r.health); err != nil {
		r.g.log.LogAttrs(ctx, slog.LevelDebug, "channel health could not be stored",
			append(r.acc.logAttrs(), slog.String("error", err.Error()))...)
		return
	}
	r.told = true
}

// severity orders states; what is not one is harmless.
func severity(s events.HealthState) int {
	switch s {
	case events.NeedsAttention:
		return 2
	case events.Degraded:
		return 1
	case events.Connected:
	}
	return 0
}
