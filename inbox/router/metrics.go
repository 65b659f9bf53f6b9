package router

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"parley/store"
)

// metrics of one router process.
type metrics struct {
	events        *prometheus.CounterVec
	newClients    prometheus.Counter
	batchSize     prometheus.Histogram
	batchSeconds  prometheus.Histogram
	storedSeconds *prometheus.HistogramVec
	providerSecs  *prometheus.HistogramVec
	fenced        prometheus.Counter
	failures      prometheus.Counter
	held          prometheus.Gauge
	relayed       prometheus.Counter
	relayFailures prometheus.Counter
	factsWaiting  prometheus.Gauge
	factsOldest   prometheus.Gauge
	gap           *prometheus.GaugeVec
	lag           *prometheus.GaugeVec
	oldest        *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	latency := []float64{.001, .002, .005, .01, .02, .03, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}
	return &metrics{
		events: f.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_router_events_total",
			Help: "Accepted events by how they ended: persisted, duplicate, ignored or quarantined.",
		}, []string{"transport", "outcome"}),
		newClients: f.NewCounter(prometheus.CounterOpts{
			Name: "parley_router_clients_created_total", Help: "Clients created because they wrote.",
		}),
		batchSize: f.NewHistogram(prometheus.HistogramOpts{
			Name: "parley_router_batch_events", Help: "Events stored by one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		batchSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "parley_router_batch_duration_seconds", Help: "Time from a batch's first statement to its commit.",
			Buckets: latency,
		}),
		storedSeconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "parley_router_accepted_to_stored_seconds", Help: "Time from acceptance by the gateway to the commit.",
			Buckets: latency,
		}, []string{"transport"}),
		providerSecs: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "parley_router_provider_to_stored_seconds", Help: "Time from the provider's own time of a message to the commit.",
			Buckets: latency,
		}, []string{"transport"}),
		fenced: f.NewCounter(prometheus.CounterOpts{
			Name: "parley_router_fenced_batches_total", Help: "Batches rolled back because the partition's lease was lost.",
		}),
		failures: f.NewCounter(prometheus.CounterOpts{
			Name: "parley_router_batch_failures_total", Help: "Batches that failed and were tried again.",
		}),
		held: f.NewGauge(prometheus.GaugeOpts{
			Name: "parley_router_partitions_held", Help: "Partitions this process works on.",
		}),
		relayed: f.NewCounter(prometheus.CounterOpts{
			Name: "parley_relay_facts_published_total", Help: "Facts published to the bus.",
		}),
		relayFailures: f.NewCounter(prometheus.CounterOpts{
			Name: "parley_relay_failures_total", Help: "Times that publishing facts failed.",
		}),
		factsWaiting: f.NewGauge(prometheus.GaugeOpts{
			Name: "parley_relay_facts_waiting", Help: "Facts not published yet, counted up to 10,000.",
		}),
		factsOldest: f.NewGauge(prometheus.GaugeOpts{
			Name: "parley_relay_oldest_fact_seconds", Help: "Age of the oldest fact not published yet.",
		}),
		gap: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "parley_ledger_gap_events", Help: "Events behind the checkpoint that no outcome answers for; anything but 0 is a loss.",
		}, []string{"partition"}),
		lag: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "parley_router_lag_events", Help: "Accepted events not stored yet.",
		}, []string{"partition"}),
		oldest: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "parley_router_oldest_unprocessed_seconds", Help: "Age of the oldest accepted event not stored yet.",
		}, []string{"partition"}),
	}
}

// stored counts a committed batch.
func (m *metrics) stored(batch []store.InboundRecord, res store.BatchResult, took time.Duration) {
	m.batchSize.Observe(float64(len(batch)))
	m.batchSeconds.Observe(took.Seconds())
	m.newClients.Add(float64(res.NewClients))
	now := time.Now()
	for i, o := range res.Outcomes {
		ev := batch[i].Event
		if ev == nil {
			m.events.WithLabelValues("", string(o)).Inc()
			continue
		}
		transport := string(ev.Transport)
		m.events.WithLabelValues(transport, string(o)).Inc()
		if o != store.Persisted {
			continue
		}
		m.storedSeconds.WithLabelValues(transport).Observe(now.Sub(ev.AcceptedAt).Seconds())
		if !ev.ProviderTime.IsZero() {
			m.providerSecs.WithLabelValues(transport).Observe(now.Sub(ev.ProviderTime).Seconds())
		}
	}
}

func (m *metrics) partition(p store.Partition, lastSeq uint64, age time.Duration) {
	label := strconv.Itoa(p.Partition)
	m.gap.WithLabelValues(label).Set(float64(p.Gap()))
	m.lag.WithLabelValues(label).Set(float64(int64(lastSeq) - p.LastSeq)) //nolint:gosec // a stream sequence
	m.oldest.WithLabelValues(label).Set(age.Seconds())
}

func (m *metrics) facts(waiting int64, oldest time.Duration) {
	m.factsWaiting.Set(float64(waiting))
	m.factsOldest.Set(oldest.Seconds())
}
