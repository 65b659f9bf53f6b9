package gateway

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
)

// metrics are the gateway's instruments. Labels hold transports, channel ids
// and closed sets of words: never a path, a secret or anything a caller chose.
type metrics struct {
	received  *prometheus.CounterVec
	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	forged    *prometheus.CounterVec
	panics    *prometheus.CounterVec
	publish   *prometheus.CounterVec
	offloaded *prometheus.CounterVec
	inFlight  prometheus.Gauge

	health     *prometheus.GaugeVec
	pending    *prometheus.GaugeVec
	lease      *prometheus.GaugeVec
	pollErrors *prometheus.CounterVec
	callErrors *prometheus.CounterVec
	channels   prometheus.Gauge
	reconcile  *reconcileMetrics
}

// newMetrics registers the instruments on r, which may be nil.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		received: counters("parley_gateway_events_received_total",
			"Events that were made durable on the bus.", "transport", "kind"),
		requests: counters("parley_gateway_webhook_requests_total",
			"Answered webhook requests by HTTP status code.", "transport", "code"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "parley_gateway_webhook_duration_seconds",
			Help:    "Time from a webhook's header to its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"transport"}),
		forged: counters("parley_gateway_forged_requests_total",
			"Webhook requests that did not prove their origin.", "transport"),
		panics: counters("parley_gateway_panics_total",
			"Panics of adapters, recovered.", "transport"),
		publish: counters("parley_gateway_publish_failures_total",
			"Batches of events that could not be made durable.", "transport", "reason"),
		offloaded: counters("parley_gateway_offloaded_payloads_total",
			"Raw payloads that went to the blob storage because of their size.", "transport"),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parley_gateway_webhooks_in_flight", Help: "Webhook requests being worked on.",
		}),
		health: gauges("parley_channel_health",
			"1 for the state that a channel is in, on the replica that holds its lease.", "channel", "transport", "state"),
		pending: gauges("parley_channel_pending_updates",
			"Updates that the provider holds for a channel.", "channel", "transport"),
		lease: gauges("parley_gateway_lease_held",
			"1 while this replica holds the channel's lease.", "channel", "transport"),
		pollErrors: counters("parley_gateway_poll_errors_total",
			"Polls that ended in an error.", "transport", "reason"),
		callErrors: counters("parley_gateway_call_errors_total",
			"Failed questions to providers.", "transport", "call"),
		channels: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parley_gateway_channels", Help: "Channels known to this replica.",
		}),
		reconcile: newReconcileMetrics(),
	}
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.received, m.requests, m.duration, m.forged, m.panics, m.publish, m.offloaded, m.inFlight,
		m.health, m.pending, m.lease, m.pollErrors, m.callErrors, m.channels, m.reconcile,
	} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// healthStates are the values of the label state of parley_channel_health.
func healthStates() []events.HealthState {
	return []events.HealthState{events.Connected, events.Degraded, events.NeedsAttention}
}

// setHealth shows a channel in one state.
func (m *metrics) setHealth(ch events.Channel, state events.HealthState) {
	for _, s := range healthStates() {
		v := 0.0
		if s == state {
			v = 1
		}
		m.health.WithLabelValues(string(ch.ID), string(ch.Transport), string(s)).Set(v)
	}
}

// leave drops what only the lease holder shows of a channel.
func (m *metrics) leave(ch events.Channel) {
	for _, s := range healthStates() {
		m.health.DeleteLabelValues(string(ch.ID), string(ch.Transport), string(s))
	}
	m.pending.DeleteLabelValues(string(ch.ID), string(ch.Transport))
	m.lease.DeleteLabelValues(string(ch.ID), string(ch.Transport))
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}
