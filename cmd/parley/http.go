package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"parley/inbox"
	"parley/transports/gateway"
)

// Limits of what strangers may send before a handler has looked at it.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// serveHTTP listens for providers, health checks and Prometheus.
func (s *server) serveHTTP(ctx context.Context) (stop func(context.Context), err error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "alive") })
	mux.Handle("GET /readyz", s.ready)
	mux.Handle("/webhook/", later(&s.webhooks, "The gateway is starting."))
	mux.Handle(gateway.MediaPrefix, later(&s.links, "The gateway is starting."))
	metrics := promhttp.HandlerFor(s.reg, promhttp.HandlerOpts{})
	var own net.Listener
	if s.cfg.MetricsListen == "" {
		mux.Handle("GET /metrics", metrics)
	} else if own, err = listenTCP(ctx, s.cfg.MetricsListen, "--metrics-listen"); err != nil {
		return nil, err
	}
	if s.listen, err = listenTCP(ctx, s.cfg.Listen, "--listen"); err != nil {
		if own != nil {
			_ = own.Close()
		}
		return nil, err
	}
	stops := []func(context.Context){s.serve(s.listen, mux)}
	if own != nil {
		s.metrics = own.Addr().String()
		onlyMetrics := http.NewServeMux()
		onlyMetrics.Handle("GET /metrics", metrics)
		stops = append(stops, s.serve(own, onlyMetrics))
	}
	return func(ctx context.Context) {
		for _, stop := range stops {
			stop(ctx)
		}
	}, nil
}

func listenTCP(ctx context.Context, addr, flag string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("The address %s cannot be listened on: %v.", addr, err),
			Hint: "Stop what listens there, or use another one with " + flag + " (port 0 is any).", Err: err,
		}
	}
	return l, nil
}

// serve answers requests on l; stop finishes those under way, until its context
// ends.
func (s *server) serve(l net.Listener, h http.Handler) (stop func(context.Context)) {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ConnContext: fromPeer,
	}
	s.work.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("serving on %s: %w", l.Addr(), err))
		}
	})
	return func(ctx context.Context) {
		if err := srv.Shutdown(ctx); err != nil {
			s.log.Warn("requests cut short", "listen", l.Addr().String(), "error", err)
			_ = srv.Close()
		}
	}
}
