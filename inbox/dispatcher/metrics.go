package dispatcher

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/store"
)

// metrics are what the dispatcher counts. The share of uncertain sends is
// parley_dispatcher_sends_total{outcome="uncertain"} by all outcomes.
type metrics struct {
	sends     *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	depth     *prometheus.GaugeVec
	oldest    *prometheus.GaugeVec
	latency   *prometheus.HistogramVec
	held      prometheus.Gauge
	fenced    prometheus.Counter
	failed    prometheus.Counter
	turns     prometheus.Histogram
	batch     prometheus.Histogram
	takenOver prometheus.Counter
	late      prometheus.Counter
	missed    prometheus.Counter
	asked     *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	name := func(n string) string { return "parley_dispatcher_" + n }
	m := &metrics{
		sends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("sends_total"), Help: "Parts by what became of them: sent, retry, rejected, uncertain, refused (never sent).",
		}, []string{"transport", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name("send_duration_seconds"), Help: "How long a provider took to answer.",
			Buckets: []float64{.001, .005, .02, .05, .1, .2, .5, 1, 2, 5, 10, 20},
		}, []string{"transport"}),
		depth: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: name("queue_depth"), Help: "Messages waiting or under way on the channels this process holds.",
		}, []string{"transport"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: name("queue_oldest_seconds"), Help: "How long the first of them has waited.",
		}, []string{"transport"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name("reply_to_sent_seconds"), Help: "From a message being queued to its provider's acceptance of the last part.",
			Buckets: []float64{.005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 300, 1800},
		}, []string{"transport"}),
		held: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: name("leases_held"), Help: "Channels this process dispatches.",
		}),
		fenced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: name("fenced_total"), Help: "Turns rolled back because another process had taken the channel.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: name("turns_failed_total"), Help: "Turns that the database did not confirm, for other reasons.",
		}),
		turns: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name("turn_duration_seconds"), Help: "How long the transaction of a turn took.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .5, 1, 5},
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name("claim_batch_size"), Help: "Messages claimed by one turn that claimed any.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		takenOver: prometheus.NewCounter(prometheus.CounterOpts{
			Name: name("interrupted_total"), Help: "Messages found under way when a channel was taken over from a dead process.",
		}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Name: name("late_answers_total"), Help: "Answers of providers that came after the deadline or the lease, and settled what was uncertain.",
		}),
		missed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: name("crossed_statuses_total"), Help: "Statuses stored in the same instant as their message's settlement, and applied later.",
		}),
		asked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("uncertain_asked_total"),
			Help: "Times a provider was asked about an uncertain send: sent, failed (it was not accepted), open, taken (what it has may be another send's), before (settled meanwhile), unclear, error.",
		}, []string{"transport", "outcome"}),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.sends, m.duration, m.depth, m.oldest, m.latency, m.held, m.fenced, m.failed, m.turns, m.batch, m.takenOver, m.late, m.missed, m.asked,
	} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

// depths shows what waits on the channels that are held, by transport; 0 where
// nothing does.
func (m *metrics) depths(held []events.ChannelID, list []store.QueueDepth, transportOf func(events.ChannelID) events.Transport) {
	depth := make(map[events.Transport]int64)
	oldest := make(map[events.Transport]time.Duration)
	for _, id := range held {
		if t := transportOf(id); t != "" {
			depth[t], oldest[t] = 0, 0
		}
	}
	for _, q := range list {
		t := transportOf(q.Channel)
		depth[t] += q.Waiting
		oldest[t] = max(oldest[t], q.Oldest)
	}
	m.depth.Reset()
	m.oldest.Reset()
	for t, n := range depth {
		m.depth.WithLabelValues(string(t)).Set(float64(n))
		m.oldest.WithLabelValues(string(t)).Set(oldest[t].Seconds())
	}
}
