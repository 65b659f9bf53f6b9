package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"parley/events/jetstream"
	"parley/transports/gateway"
)

// startBus starts or reaches NATS. It waits for an external one until ctx ends.
func (s *server) startBus(ctx context.Context) error {
	opts := jetstream.Options{
		URL: s.cfg.NATSURL, Partitions: s.cfg.Partitions, Replicas: s.cfg.NATSReplicas, Logger: s.log.With("part", "nats"),
		Observer: busMetrics(s.reg), Room: s.cfg.BusRoom, Retention: s.cfg.BusRetention,
	}
	if opts.Room == 0 && s.cfg.NATSURL == "" {
		opts.Room = embeddedRoom(s.cfg.DataDir)
	}
	if s.cfg.NATSURL == "" {
		var err error
		s.embedded, err = jetstream.Embed(ctx, jetstream.EmbedOptions{
			DataDir: filepath.Join(s.cfg.DataDir, "nats"), Logger: opts.Logger, Trouble: s.busTrouble,
		})
		if err != nil {
			return err
		}
		opts.Embedded = s.embedded
	} else {
		s.ready.lacks("nats", "NATS cannot be reached yet; the server keeps trying.")
	}
	bus, err := jetstream.Open(ctx, opts)
	if err != nil {
		return err
	}
	s.bus = bus
	s.reg.MustRegister(newBusUsage(bus))
	s.ready.has("nats")
	return nil
}

// embeddedRoom is a quarter of the data folder's disk, at most the bus's default: the
// bus is to refuse before PostgreSQL, on the same disk, has no room left.
func embeddedRoom(dir string) int64 {
	_, size, err := diskFree(dir)
	if err != nil || size == 0 || size/4 > jetstream.DefaultRoom {
		return jetstream.DefaultRoom
	}
	return int64(size / 4)
}

// busTrouble keeps the process from being ready while nothing can be accepted.
func (s *server) busTrouble(err error) {
	if err == nil {
		s.ready.has("nats")
		return
	}
	s.ready.lacks("nats", fmt.Sprintf("%v. Make room: nothing is accepted meanwhile, and nothing that was is lost.", err))
}

// busMetrics counts what goes onto the bus.
func busMetrics(reg prometheus.Registerer) jetstream.Observer {
	f := promauto.With(reg)
	published := f.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_bus_published_total", Help: "Messages that JetStream confirmed or refused, by stream.",
	}, []string{"stream", "outcome"})
	took := f.NewHistogramVec(prometheus.HistogramOpts{
		Name: "parley_bus_publish_seconds", Help: "Time until JetStream answered one exchange.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
	}, []string{"stream"})
	up := f.NewGauge(prometheus.GaugeOpts{Name: "parley_bus_up", Help: "Whether NATS can be reached."})
	return jetstream.Observer{
		Published: func(stream string, messages int, _ bool, d time.Duration, err error) {
			outcome := "confirmed"
			if err != nil {
				outcome = "failed"
			}
			published.WithLabelValues(stream, outcome).Add(float64(messages))
			took.WithLabelValues(stream).Observe(d.Seconds())
		},
		Connected:    func() { up.Set(1) },
		Disconnected: func(error) { up.Set(0) },
	}
}

// startGateway runs the adapters. It needs no database: not even the channels
// come from there.
func (s *server) startGateway(ctx context.Context) error {
	opts := gateway.Options{
		Bus: gateway.OnJetStream(s.bus), Factories: factories(), OpenSecrets: secretsOpener(s.keys),
		PublicURL: s.cfg.PublicURL, Logger: s.log.With("role", roleGateway), Registerer: s.reg, Tracer: s.cfg.Traces.of(),
	}
	if s.blobs != nil {
		opts.Blobs = s.blobs
	} else {
		s.log.Warn("files are not kept, and payloads over 256 kB are refused: set --blob-url to what all processes share")
	}
	g, err := gateway.New(opts)
	if err != nil {
		return err
	}
	h := g.Handler()
	s.webhooks.Store(&h)
	if s.mediaLinks != nil {
		var files http.Handler = s.mediaLinks
		s.links.Store(&files)
	}
	s.work.Go(func() {
		if err := g.Run(ctx); err != nil {
			s.log.Warn("gateway cut short", "error", err)
		}
	})
	return nil
}

// later is a handler that comes to be while the server starts.
func later(h *atomic.Pointer[http.Handler], words string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if now := h.Load(); now != nil {
			(*now).ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", "1")
		if strings.HasPrefix(r.URL.Path, "/api/") {
			writeStarting(w, words)
			return
		}
		http.Error(w, words, http.StatusServiceUnavailable)
	})
}

// writeStarting is a problem in the API's own form.
func writeStarting(w http.ResponseWriter, words string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = fmt.Fprintf(w, `{"type":"about:blank","title":"Service Unavailable","status":503,"code":"unavailable","detail":%q,"hint":"Try again in a moment."}`+"\n", words)
}
