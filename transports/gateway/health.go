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
	aspectSetup     aspect = iota // settings and secrets
	aspectConnect                 // telling the provider where to deliver
	aspectPoll                    // asking the provider for news
	aspectCheck                   // asking the provider how deliveries fare
	aspectDelivery                // what the provider said about its deliveries
	aspectReconcile               // comparing with what the provider has
	aspects
)

// trouble is what is wrong with an aspect; the zero value is nothing.
type trouble struct {
	state events.HealthState
	words string
}

// unknownPending is events.ChannelHealth.Pending when the provider does not say.
const unknownPending = -1

// looked is how old the told CheckedAt may become while nothing else changes.
const looked = 5 * time.Minute

// reporter keeps one account's health while this replica holds its lease. The
// contexts it is given end with that lease: what came after is not ours to tell.
type reporter struct {
	g   *Gateway
	acc *account

	mu       sync.Mutex
	troubles [aspects]trouble
	health   events.ChannelHealth
	// last is what another replica, or an earlier run, told before.
	last events.ChannelHealth
	// told is what the bus took last.
	told events.ChannelHealth
}

func (g *Gateway) newReporter(ctx context.Context, acc *account) *reporter {
	r := &reporter{g: g, acc: acc, health: events.ChannelHealth{Channel: acc.ch.ID, Pending: unknownPending}}
	ctx, cancel := context.WithTimeout(ctx, g.limits.Publish)
	defer cancel()
	if last, err := g.bus.LastHealth(ctx, acc.ch.ID); err == nil {
		r.last = last
	}
	return r
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
	r.recovered(as...)
	for _, a := range as {
		r.troubles[a] = trouble{}
	}
	r.settle(ctx)
}

// checked reports what the provider said about its deliveries; no words are no
// trouble.
func (r *reporter) checked(ctx context.Context, pending int, words string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if words == "" {
		r.recovered(aspectCheck, aspectDelivery)
	}
	r.troubles[aspectCheck], r.troubles[aspectDelivery] = trouble{}, trouble{}
	if words != "" {
		r.troubles[aspectDelivery] = trouble{events.Degraded, words}
	}
	r.health.Pending, r.health.CheckedAt = pending, time.Now().UTC()
	r.g.metrics.pending.WithLabelValues(string(r.acc.ch.ID), string(r.acc.ch.Transport)).Set(float64(pending))
	r.settle(ctx)
}

// recovered has the channel compared with what its provider has if one of these
// aspects was in trouble: what was pushed meanwhile may not have arrived. It needs
// the lock.
func (r *reporter) recovered(as ...aspect) {
	for _, a := range as {
		if a != aspectReconcile && r.troubles[a] != (trouble{}) && r.acc.ch.Mode == events.Webhook {
			r.acc.rouse()
		}
	}
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
	r.health.Error = worst.words
	if worst.state != r.health.State {
		r.health.Since = time.Now().UTC()
		if r.health.State == "" && r.last.State == worst.state {
			r.health.Since = r.last.Since // a restart is no news
		}
		r.health.State = worst.state
		r.g.metrics.setHealth(r.acc.ch, worst.state)
		level := slog.LevelInfo
		if worst.state != events.Connected {
			level = slog.LevelWarn
		}
		r.g.log.LogAttrs(ctx, level, "channel health",
			append(r.acc.logAttrs(), slog.String("state", string(worst.state)), slog.String("error", worst.words))...)
	}
	if !r.news() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.g.limits.Publish)
	defer cancel()
	if err := r.g.bus.PutHealth(ctx, r.health); err != nil {
		r.g.log.LogAttrs(ctx, slog.LevelDebug, "channel health could not be stored",
			append(r.acc.logAttrs(), slog.String("error", err.Error()))...)
		return
	}
	r.told = r.health
}

// news reports whether the health is worth a write.
func (r *reporter) news() bool {
	h := r.health
	if h.CheckedAt.Sub(r.told.CheckedAt) < looked {
		h.CheckedAt = r.told.CheckedAt
	}
	return h != r.told
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
