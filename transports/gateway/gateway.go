package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/events/tracing"
	"parley/transports"
)

// Options configure a [Gateway].
type Options struct {
	// Bus is required; see [OnJetStream].
	Bus Bus
	// Name says, to people, which replica this is; the host's name by default.
	Name string
	// Factories build the adapters, by transport.
	Factories map[events.Transport]transports.Factory
	// OpenSecrets opens what a channel's Sealed holds. It may be called from several
	// goroutines at once.
	OpenSecrets func(events.Channel) (map[string]string, error)
	// PublicURL is where providers reach this installation: http or https, with
	// an optional path, to which /webhook/{path} is added. Empty when they cannot.
	PublicURL string
	// Logger gets what operators should know; nil discards it.
	Logger *slog.Logger
	// Registerer gets the metrics; nil keeps them to itself.
	Registerer prometheus.Registerer
	// HTTPClient is what adapters call their providers with; nil is a client with
	// limits on everything but the length of an answer.
	HTTPClient *http.Client
	// Blobs takes payloads that are too large for the bus; nil refuses them.
	Blobs Blobs
	// Limits bound what things may cost.
	Limits Limits
	// Tracer, if any, traces what is accepted.
	Tracer *tracing.Tracer
}

// Gateway runs the adapters of all channels. Its handler and its methods may be
// used from several goroutines at once.
type Gateway struct {
	bus         Bus
	name        string
	factories   map[events.Transport]transports.Factory
	openSecrets func(events.Channel) (map[string]string, error)
	publicURL   string
	log         *slog.Logger
	client      *http.Client
	blobs       Blobs
	limits      Limits
	metrics     *metrics
	tracer      *tracing.Tracer

	table *table
	gate  *drain
	share share
	ran   atomic.Bool
}

// New checks the options and registers the metrics. It does no I/O.
func New(o Options) (*Gateway, error) {
	if o.Bus == nil {
		return nil, errors.New("gateway: no bus was given")
	}
	public := strings.TrimRight(o.PublicURL, "/")
	if public != "" {
		u, err := url.Parse(public)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.User != nil {
			return nil, fmt.Errorf("gateway: %q is not a public URL: it must look like https://inbox.example.com", o.PublicURL)
		}
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("gateway: register metrics: %w", err)
	}
	if o.Name == "" {
		if o.Name, err = os.Hostname(); err != nil {
			o.Name = "gateway"
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.HTTPClient == nil {
		o.HTTPClient = defaultClient()
	}
	limits := o.Limits.withDefaults()
	return &Gateway{
		bus: o.Bus, name: o.Name, factories: o.Factories, openSecrets: o.OpenSecrets, publicURL: public,
		log: o.Logger, client: o.HTTPClient, blobs: o.Blobs, limits: limits, metrics: m, tracer: o.Tracer,
		table: newTable(), gate: newDrain(limits.InFlight),
	}, nil
}

// defaultClient bounds each step of a request. An answer's length is bounded by
// the caller's context: a long poll and a large file take their time.
func defaultClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 90 * time.Second, // above Telegram's longest poll, 50 s
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       90 * time.Second,
	}}
}

// Run follows the channels until ctx ends, then drains: it stops pollers,
// releases leases and finishes the webhooks in flight, at most Limits.Drain. A
// bus that cannot be reached is waited for. Run may be called once; its error
// says what did not end in time.
func (g *Gateway) Run(ctx context.Context) error {
	if g.ran.Swap(true) {
		return errors.New("gateway: it runs, or ran, already")
	}
	var presence sync.WaitGroup
	presence.Go(func() { g.present(ctx) })
	defer presence.Wait()
	f := newFollower(ctx, g)
	waits := g.pauses()
	for ctx.Err() == nil {
		err := f.follow(waits.Reset)
		if ctx.Err() == nil {
			g.log.LogAttrs(ctx, slog.LevelWarn, "channels cannot be followed, trying again", slog.Any("error", err))
			pause(ctx, waits.NextBackOff())
		}
	}
	late, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), g.limits.Drain,
		fmt.Errorf("still busy after %s", g.limits.Drain))
	defer cancel()
	var errs []error
	if err := g.gate.close(late); err != nil {
		errs = append(errs, fmt.Errorf("gateway: webhooks in flight: %w", err))
	}
	if err := f.wait(late); err != nil {
		errs = append(errs, fmt.Errorf("gateway: channels: %w", err))
	}
	return errors.Join(errs...)
}
