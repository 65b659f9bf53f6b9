package media

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/inbox"
	"parley/store"
)

const (
	sweepLease = "media-sweep"
	// rawPrefix begins the keys of payloads; see the gateway.
	rawPrefix = "raw/"
	// observeEvery is how often what waits is counted.
	observeEvery = 15 * time.Second
)

// sweep removes what no message has, in one process at a time.
func (f *Fetcher) sweep(ctx context.Context) {
	for inbox.Pause(ctx, inbox.Around(min(f.opts.SweepEvery, time.Minute))) {
		// Kept until it runs out, so that nobody does it again meanwhile.
		_, ours, err := f.opts.DB.AcquireLease(ctx, sweepLease, f.opts.Owner, f.opts.SweepEvery*9/10)
		if err != nil || !ours {
			continue
		}
		if err := f.Sweep(ctx); err != nil && ctx.Err() == nil {
			f.log.WarnContext(ctx, "files that no message has stay", slog.Any("error", err))
		}
	}
}

// Sweep removes uploads that no message has or that were never finished, then blobs that no row names. Rows
// go first, so that a crash leaves a blob too many and never a row without one.
func (f *Fetcher) Sweep(ctx context.Context) error {
	uploads, err := f.opts.DB.SweepUploads(ctx, f.opts.KeepUnused)
	f.metrics.removed.WithLabelValues("upload").Add(float64(uploads))
	if err != nil {
		return err
	}
	unfinished, err := f.opts.DB.SweepResumables(ctx)
	f.metrics.removed.WithLabelValues("unfinished").Add(float64(unfinished))
	if err != nil {
		return err
	}
	for prefix, age := range map[string]time.Duration{store.MediaPrefix: f.opts.KeepUnused, store.PartPrefix: f.opts.KeepUnused, rawPrefix: f.opts.KeepPayloads} {
		blobs, err := f.opts.DB.SweepBlobs(ctx, f.opts.Library.opts.Blobs, prefix, age)
		f.metrics.removed.WithLabelValues("blob").Add(float64(blobs))
		if err != nil {
			return err
		}
		if blobs > 0 {
			f.log.InfoContext(ctx, "removed what no message has", slog.String("below", prefix), slog.Int64("blobs", blobs))
		}
	}
	return nil
}

// observe keeps the gauges of what waits.
func (f *Fetcher) observe(ctx context.Context) {
	for {
		if waiting, oldest, err := f.opts.DB.MediaBacklog(ctx); err == nil {
			f.metrics.pending.Set(float64(waiting))
			f.metrics.oldest.Set(oldest.Seconds())
		}
		if !inbox.Pause(ctx, inbox.Around(observeEvery)) {
			return
		}
	}
}

type metrics struct {
	fetches         *prometheus.CounterVec
	bytes           *prometheus.CounterVec
	removed         *prometheus.CounterVec
	duration        prometheus.Histogram
	pending, oldest prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	name := func(n string) string { return "parley_media_" + n }
	m := &metrics{
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("fetches_total"), Help: "Tries to fetch clients' files by how they ended: stored, retry, failed, superseded.",
		}, []string{"transport", "outcome"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("fetched_bytes_total"), Help: "Bytes of clients' files that were stored.",
		}, []string{"transport"}),
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("removed_total"), Help: "Uploads and blobs removed because no message has them, and uploads that were never finished.",
		}, []string{"what"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name("fetch_duration_seconds"), Help: "How long a try to fetch a file took.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: name("pending"), Help: "Clients' files that wait to be fetched, counted up to 10,000.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: name("oldest_seconds"), Help: "How long the oldest of them has waited.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.fetches, m.bytes, m.removed, m.duration, m.pending, m.oldest} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("media metrics: %w", err)
	}
	return m, nil
}
