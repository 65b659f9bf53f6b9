package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/transports"
)

// Options configure a [Gateway].
type Options struct {
	// Bus is required; see [OnJetStream].
	Bus Bus
	// Factories build the adapters, by transport.
	Factories map[events.Transport]transports.Factory
	// OpenSecrets opens what Channel.Sealed holds. It may be called from several
	// goroutines at once.
	OpenSecrets func(sealed []byte) (map[string]string, error)
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
}

// Gateway runs the adapters of all channels. Its handler and its methods may be
// used from several goroutines at once.
type Gateway struct {
	bus         Bus
	factories   map[events.Transport]transports.Factory
	openSecrets func([]byte) (map[string]string, error)
	publicURL   string
	log         *slog.Logger
	client      *http.Client
	blobs       Blobs
	limits      Limits
	metrics     *metrics

	table *table
	gate  *drain
	media chan struct{}
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
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.HTTPClient == nil {
		o.HTTPClient = defaultClient()
	}
	limits := o.Limits.withDefaults()
	return &Gateway{
		bus: o.Bus, factories: o.Factories, openSecrets: o.OpenSecrets, publicURL: public,
		log: o.Logger, client: o.HTTPClient, blobs: o.Blobs, limits: limits, metrics: m,
		table: newTable(), gate: newDrain(limits.InFlight), media: make(chan struct{}, limits.Media),
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

// Ready reports whether the channels are known, so that webhooks can be
// answered; a load balancer should not send any before.
func (g *Gateway) Ready() bool { return g.table.loaded() }

// Run follows the channels until ctx ends, then drains: it stops pollers,
// releases leases and finishes the webhooks in flight, at most Limits.Drain. A
// bus that cannot be reached is waited for. Run may be called once; its error
// says what did not end in time.
func (g *Gateway) Run(ctx context.Context) error {
	if g.ran.Swap(true) {
		return errors.New("gateway: it runs, or ran, already")
	}
	f := newFollower(ctx, g)
	waits := g.pauses()
	for ctx.Err() == nil {
		f.restart()
		err := g.bus.FollowChannels(ctx, f)
		if ctx.Err() != nil {
			break
		}
		if f.complete {
			waits.Reset()
		}
		g.log.LogAttrs(ctx, slog.LevelWarn, "channels cannot be followed, trying again", slog.Any("error", err))
		pause(ctx, waits.NextBackOff())
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

// follower keeps the accounts in step with the channels. It is used from Run's
// goroutine only.
type follower struct {
	g        *Gateway
	ctx      context.Context
	running  map[events.ChannelID]*tending
	seen     map[events.ChannelID]bool
	complete bool
	tasks    sync.WaitGroup
}

// tending is an account's goroutine.
type tending struct {
	stop context.CancelFunc
	done chan struct{}
}

func newFollower(ctx context.Context, g *Gateway) *follower {
	return &follower{g: g, ctx: ctx, running: make(map[events.ChannelID]*tending)}
}

// restart begins a new listing.
func (f *follower) restart() {
	f.seen, f.complete = make(map[events.ChannelID]bool), false
}

// Put implements [ChannelFollower]. What is not newer than what runs is known
// already: a listing repeats everything.
func (f *follower) Put(ch events.Channel) {
	f.seen[ch.ID] = true
	if old := f.g.table.byID(ch.ID); old != nil && ch.Version <= old.ch.Version {
		return
	}
	acc := f.g.build(ch)
	f.g.table.put(acc)
	var previous <-chan struct{}
	if old := f.running[ch.ID]; old != nil {
		old.stop()
		previous = old.done
	}
	ctx, stop := context.WithCancel(f.ctx)
	t := &tending{stop: stop, done: make(chan struct{})}
	f.running[ch.ID] = t
	f.tasks.Go(func() {
		defer close(t.done)
		defer stop()
		f.g.tend(ctx, acc, previous)
	})
	f.count()
	f.g.log.LogAttrs(f.ctx, slog.LevelInfo, "channel loaded", append(acc.logAttrs(),
		slog.Int64("version", ch.Version), slog.String("mode", string(ch.Mode)), slog.Bool("paused", ch.Paused))...)
}

// Deleted implements [ChannelFollower].
func (f *follower) Deleted(id events.ChannelID) {
	acc := f.g.table.byID(id)
	if acc == nil {
		return
	}
	f.g.table.remove(id)
	f.running[id].stop()
	// Its done is kept: a channel that comes back waits for it.
	f.count()
	f.g.log.LogAttrs(f.ctx, slog.LevelInfo, "channel gone", acc.logAttrs()...)
}

// Loaded implements [ChannelFollower]. What a repeated listing did not name was
// deleted while nobody looked.
func (f *follower) Loaded() {
	for _, id := range f.g.table.all() {
		if !f.seen[id] {
			f.Deleted(id)
		}
	}
	f.complete = true
	f.g.table.setLoaded()
}

func (f *follower) count() {
	f.g.metrics.channels.Set(float64(len(f.g.table.all())))
}

// wait waits for every account's goroutine, or for ctx.
func (f *follower) wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.tasks.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
