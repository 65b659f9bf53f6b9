package gateway

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
)

// The outcomes of runs beside those of polls.
const (
	reconcileDone      = "done"
	reconcileCancelled = "cancelled"
)

// reconcileMetrics are the instruments of comparing channels with their providers.
type reconcileMetrics struct {
	runs   *prometheus.CounterVec
	events *prometheus.CounterVec
	age    *prometheus.Desc

	mu   sync.Mutex
	last map[events.ChannelID]reconcileAge // of the channels whose lease is here
}

type reconcileAge struct {
	transport events.Transport
	at        time.Time
}

var _ prometheus.Collector = (*reconcileMetrics)(nil)

func newReconcileMetrics() *reconcileMetrics {
	return &reconcileMetrics{
		runs: counters("parley_gateway_reconcile_runs_total",
			"Comparisons of a channel with what its provider has, by outcome.", "transport", "outcome"),
		events: counters("parley_gateway_reconcile_events_total",
			"Events that comparisons made durable, known ones included.", "transport"),
		age: prometheus.NewDesc("parley_gateway_reconcile_age_seconds",
			"Time since the last comparison that succeeded, of the channel where that is longest among those whose lease this replica holds.",
			[]string{"transport"}, nil),
		last: make(map[events.ChannelID]reconcileAge),
	}
}

// ran counts a run.
func (m *reconcileMetrics) ran(ch events.Channel, outcome string) {
	m.runs.WithLabelValues(string(ch.Transport), outcome).Inc()
}

// succeeded notes when all of a channel was known to be here.
func (m *reconcileMetrics) succeeded(ch events.Channel, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last[ch.ID] = reconcileAge{ch.Transport, at}
}

// leave forgets a channel that another replica compares from now on.
func (m *reconcileMetrics) leave(id events.ChannelID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.last, id)
}

// Describe implements [prometheus.Collector].
func (m *reconcileMetrics) Describe(out chan<- *prometheus.Desc) {
	m.runs.Describe(out)
	m.events.Describe(out)
	out <- m.age
}

// Collect implements [prometheus.Collector].
func (m *reconcileMetrics) Collect(out chan<- prometheus.Metric) {
	m.runs.Collect(out)
	m.events.Collect(out)
	for transport, age := range m.ages() {
		out <- prometheus.MustNewConstMetric(m.age, prometheus.GaugeValue, age.Seconds(), string(transport))
	}
}

// ages are the longest, by transport.
func (m *reconcileMetrics) ages() map[events.Transport]time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	ages := make(map[events.Transport]time.Duration)
	for _, l := range m.last {
		ages[l.transport] = max(ages[l.transport], time.Since(l.at))
	}
	return ages
}
