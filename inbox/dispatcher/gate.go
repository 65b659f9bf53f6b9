package dispatcher

import (
	"time"

	"github.com/cenkalti/backoff/v4"

	"parley/events"
	"parley/inbox"
)

// outageAfter is how many sends in a row must fail for reasons that are not the
// message's before the channel is held back: beyond it everything sent into an
// outage would become uncertain, or be tried over and over.
const outageAfter = 10

// gate holds a whole channel back: while its account is throttled, its
// credentials are refused, or its provider is out. After the latter two it lets
// one message through at a time until one gets an answer.
type gate struct {
	opensAt time.Time
	probing bool
	// failures counts in a row.
	failures int
	pauses   *backoff.ExponentialBackOff
	probe    time.Duration
	state    events.HealthState
	changed  func(events.HealthState, string)
}

func newGate(o *Options, changed func(events.HealthState, string)) *gate {
	return &gate{pauses: growing(o.RetryFirst, min(o.RetryMost, time.Minute)), probe: o.ProbeEvery, changed: changed}
}

// allow is how many more may be claimed, of limit, while that many are under
// way.
func (g *gate) allow(now time.Time, limit, underWay int) int {
	switch {
	case now.Before(g.opensAt):
		return 0
	case g.probing:
		return min(limit, max(0, 1-underWay))
	}
	return limit
}

// answered notes that the provider took or refused a message.
func (g *gate) answered() {
	g.failures, g.probing = 0, false
	g.pauses.Reset()
	g.set(events.Connected, "")
}

// throttled closes the gate for as long as the provider asked for.
func (g *gate) throttled(now time.Time, after time.Duration) {
	if until := now.Add(after); until.After(g.opensAt) {
		g.opensAt = until
	}
}

// failed notes a failure that says nothing about the message.
func (g *gate) failed(now time.Time, words string) {
	g.failures++
	if g.failures < outageAfter && !g.probing {
		return
	}
	// What was under way when the gate closed does not close it for longer.
	if now.Before(g.opensAt) {
		return
	}
	g.probing = true
	g.throttled(now, g.pauses.NextBackOff())
	if g.state != events.NeedsAttention {
		g.set(events.Degraded, words)
	}
}

// refused notes that the provider refused our credentials.
func (g *gate) refused(now time.Time, words string) {
	g.probing = true
	g.throttled(now, inbox.Around(g.probe))
	g.set(events.NeedsAttention, words)
}

// reset opens the gate for a changed channel, whose state is to be found out
// anew.
func (g *gate) reset() {
	g.state = ""
	g.opensAt, g.probing, g.failures = time.Time{}, false, 0
	g.pauses.Reset()
}

// set tells of a change of state. The first answer of a channel is one, too.
func (g *gate) set(state events.HealthState, words string) {
	if state == g.state {
		return
	}
	g.state = state
	g.changed(state, words)
}
