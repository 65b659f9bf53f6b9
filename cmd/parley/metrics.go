package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"parley/events/jetstream"
	"parley/store"
)

// newRegistry has the process's own metrics.
func newRegistry(version string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "parley_build_info", Help: "Always 1; the label says which version runs.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info)
	return reg
}

// scrapeTimeout bounds the questions to the database of one scrape.
const scrapeTimeout = 3 * time.Second

// databaseMetrics reads the database's state when Prometheus asks.
type databaseMetrics struct {
	db *store.DB

	connections, waited, ids, up, size, transactions, deadlocks *prometheus.Desc
}

func newDatabaseMetrics(db *store.DB) *databaseMetrics {
	return &databaseMetrics{
		db: db,
		connections: prometheus.NewDesc("parley_database_connections",
			"Connections of a pool by state; max is its limit.", []string{"pool", "state"}, nil),
		waited: prometheus.NewDesc("parley_database_wait_seconds_total",
			"Time spent waiting for a connection of a pool.", []string{"pool"}, nil),
		ids: prometheus.NewDesc("parley_database_ids_used_ratio",
			"Share of a table's ids that its sequence has given out; at 1 nothing can be inserted.", []string{"sequence"}, nil),
		up:           prometheus.NewDesc("parley_database_up", "Whether the database answered this scrape.", nil, nil),
		size:         prometheus.NewDesc("parley_database_bytes", "The database's size on disk.", nil, nil),
		transactions: prometheus.NewDesc("parley_database_transactions_total", "Transactions of the database by how they ended.", []string{"outcome"}, nil),
		deadlocks:    prometheus.NewDesc("parley_database_deadlocks_total", "Deadlocks that PostgreSQL ended.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *databaseMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.connections, m.waited, m.ids, m.up, m.size, m.transactions, m.deadlocks} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *databaseMetrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, p := range m.db.PoolStats() {
		gauge(m.connections, float64(p.Max), p.Pool, "max")
		gauge(m.connections, float64(p.Acquired), p.Pool, "acquired")
		gauge(m.connections, float64(p.Idle), p.Pool, "idle")
		out <- prometheus.MustNewConstMetric(m.waited, prometheus.CounterValue, p.Waited.Seconds(), p.Pool)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	ids, err := m.db.IDUses(ctx)
	if err != nil {
		gauge(m.up, 0)
		return
	}
	if st, err := m.db.Statistics(ctx); err == nil {
		counter := func(d *prometheus.Desc, v int64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
		}
		gauge(m.size, float64(st.Bytes))
		counter(m.transactions, st.Committed, "committed")
		counter(m.transactions, st.RolledBack, "rolled_back")
		counter(m.deadlocks, st.Deadlocks)
	}
	for _, u := range ids {
		gauge(m.ids, u.Share, u.Sequence)
	}
	gauge(m.up, 1)
}

// busUsage reads how full the streams are when Prometheus asks.
type busUsage struct {
	bus *jetstream.Bus

	bytes, limit, messages *prometheus.Desc
}

func newBusUsage(bus *jetstream.Bus) *busUsage {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("parley_bus_stream_"+name, help, []string{"stream"}, nil)
	}
	return &busUsage{
		bus: bus, bytes: desc("bytes", "What a stream holds on disk."), messages: desc("messages", "How many messages a stream holds."),
		limit: desc("limit_bytes", "What a stream may hold; 0 is no limit but the server's."),
	}
}

// Describe implements prometheus.Collector.
func (m *busUsage) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.bytes, m.limit, m.messages} {
		out <- d
	}
}

// Collect implements prometheus.Collector. While NATS is away there is nothing.
func (m *busUsage) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	if !m.bus.Connected() {
		return
	}
	all, err := m.bus.Usage(ctx)
	if err != nil {
		return
	}
	for _, u := range all {
		out <- prometheus.MustNewConstMetric(m.bytes, prometheus.GaugeValue, float64(u.Bytes), u.Stream)
		out <- prometheus.MustNewConstMetric(m.limit, prometheus.GaugeValue, float64(u.MaxBytes), u.Stream)
		out <- prometheus.MustNewConstMetric(m.messages, prometheus.GaugeValue, float64(u.Messages), u.Stream)
	}
}
