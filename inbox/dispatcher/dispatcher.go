package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/events/tracing"
	"parley/inbox"
	"parley/store"
	"parley/transports"
)

// Options of a Dispatcher. Store and Factories are needed; nil or zero fields of
// the rest mean the defaults.
type Options struct {
	Store *store.DB
	// Factories build the adapters. Channels of other transports are left to
	// replicas that know them.
	Factories map[events.Transport]transports.Factory
	// OpenSecrets opens a channel's sealed secrets. Without it there are none.
	OpenSecrets func(events.Channel) (map[string]string, error)
	// OpenFile opens an attachment by the key of its blob. Without it messages
	// with attachments fail.
	OpenFile func(ctx context.Context, key string) (io.ReadCloser, error)
	// FileURL makes a link under which the provider can fetch an attachment for a
	// while, for transports with Capabilities.FetchesMedia; empty when it cannot.
	FileURL func(store.HeadFile) string
	// HTTPClient is given to the adapters. The default keeps as many connections
	// to one host as it sends at once.
	HTTPClient *http.Client
	// PublicURL is where providers reach this installation; see
	// transports.Account.
	PublicURL string
	// OnHealth is told when a channel's health as a sender changes. It must not
	// block.
	OnHealth   func(channel events.Channel, state events.HealthState, words string)
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Tracer, if any, traces requests to providers.
	Tracer *tracing.Tracer
	// Owner names this process's life in leases; the default is the host's name
	// and something random.
	Owner string

	// SendDeadline is how long one request to a provider may take, 20 s by
	// default. What has not answered by then is uncertain, and holds its lane for
	// twice as long.
	SendDeadline time.Duration
	// LeaseTTL is how long a dead process's channels wait for their next owner;
	// longer than SendDeadline: by default half as long again, and 5 s at least.
	LeaseTTL time.Duration
	// Concurrency is how many requests one channel has under way, 256 by default.
	Concurrency int
	// PollEvery is how often to look for what no notification told of, 2 s by
	// default, jittered; RefreshEvery how often to look for new and changed
	// channels, and at who else dispatches, 2 s by default.
	PollEvery, RefreshEvery time.Duration
	// RetryFirst and RetryMost bound the waits between attempts, 1 s and 5 min by
	// default. They grow without end: a message waits until it is cancelled.
	RetryFirst, RetryMost time.Duration
	// SettleFirst and SettleMost bound the waits between questions to a provider
	// about an uncertain send, 10 s and 1 h by default, and SettleFor is how long
	// one is asked about, 24 h by default; see transports.Settler.
	SettleFirst, SettleMost, SettleFor time.Duration
	// ProbeEvery is how often a channel whose credentials were refused tries
	// again, 1 min by default.
	ProbeEvery time.Duration
}

// minLeaseTTL leaves a slow database and a busy machine the time to renew: that
// is asked for after a third.
const minLeaseTTL = 5 * time.Second

func (o *Options) defaults() error {
	if o.Store == nil || len(o.Factories) == 0 {
		return errors.New("dispatcher: Store and Factories are needed")
	}
	setDefault(&o.SendDeadline, 20*time.Second)
	setDefault(&o.LeaseTTL, max(3*o.SendDeadline/2, minLeaseTTL))
	setDefault(&o.PollEvery, 2*time.Second)
	setDefault(&o.RefreshEvery, 2*time.Second)
	setDefault(&o.RetryFirst, time.Second)
	setDefault(&o.RetryMost, 5*time.Minute)
	setDefault(&o.SettleFirst, 10*time.Second)
	setDefault(&o.SettleMost, time.Hour)
	setDefault(&o.SettleFor, 24*time.Hour)
	setDefault(&o.ProbeEvery, time.Minute)
	setDefault(&o.Concurrency, 256)
	if o.SendDeadline >= o.LeaseTTL {
		return fmt.Errorf("dispatcher: the send deadline (%s) must be shorter than the lease (%s)", o.SendDeadline, o.LeaseTTL)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OpenSecrets == nil {
		o.OpenSecrets = func(events.Channel) (map[string]string, error) { return map[string]string{}, nil }
	}
	if o.OnHealth == nil {
		o.OnHealth = func(events.Channel, events.HealthState, string) {}
	}
	if o.HTTPClient == nil {
		o.HTTPClient = newHTTPClient(o.Concurrency)
	}
	if o.Owner == "" {
		host, _ := os.Hostname() // a name for people; the rest makes it unique
		o.Owner = host + "/" + uuid.NewString()
	}
	return nil
}

func setDefault[T time.Duration | int](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// newHTTPClient makes a client that does not open a connection for each request.
// Its calls are limited by their contexts.
func newHTTPClient(perHost int) *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          8 * perHost,
		MaxIdleConnsPerHost:   perHost,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}}
}

// Dispatcher sends what is queued on the channels it leases.
type Dispatcher struct {
	opts    Options
	db      *store.DB
	log     *slog.Logger
	metrics *metrics

	mu      sync.Mutex
	runners map[events.ChannelID]*runner
	// broken remembers the versions of channels whose adapters could not be
	// built, so as to say so once; the supervisor's alone.
	broken map[events.ChannelID]int64
	// untold are healths that the database does not know yet; tell wakes who
	// stores them.
	healthMu sync.Mutex
	untold   map[events.ChannelID]health
	tell     chan struct{}
	// look makes the supervisor look at the channels now.
	look chan struct{}
	// wg counts runners; late what waits for answers beyond the deadline, until
	// life ends with Run.
	wg, late sync.WaitGroup
	life     context.Context
	end      context.CancelFunc
}

// New checks the options and prepares a dispatcher; Run starts it.
func New(opts Options) (*Dispatcher, error) {
	if err := opts.defaults(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, fmt.Errorf("dispatcher: %w", err)
	}
	life, end := context.WithCancel(context.Background())
	return &Dispatcher{
		life: life, end: end, look: make(chan struct{}, 1),
		opts: opts, db: opts.Store, log: opts.Logger, metrics: m,
		runners: make(map[events.ChannelID]*runner), broken: make(map[events.ChannelID]int64),
		untold: make(map[events.ChannelID]health), tell: make(chan struct{}, 1),
	}, nil
}

// Run dispatches until ctx ends. Then it claims nothing more, lets what is under
// way finish within its deadline, settles it and gives its channels away. A
// database that is down is waited for. It returns nil.
func (d *Dispatcher) Run(ctx context.Context) error {
	var helpers sync.WaitGroup
	helpers.Go(func() { d.listen(ctx) })
	helpers.Go(func() { d.poll(ctx) })
	helpers.Go(func() { d.tellHealth(ctx) })
	d.supervise(ctx)
	helpers.Wait()
	d.wg.Wait()
	d.end()
	d.late.Wait()
	return nil
}

// listen wakes channels when something is queued on them.
func (d *Dispatcher) listen(ctx context.Context) {
	pauses := growing(100*time.Millisecond, 10*time.Second)
	for ctx.Err() == nil {
		err := d.db.ListenDeliveries(ctx, func() {
			pauses.Reset()
			d.lookNow()
			d.wakeAll() // for what was queued while nobody listened
		}, d.told, d.typing)
		if ctx.Err() != nil {
			return
		}
		d.log.WarnContext(ctx, "not told of queued deliveries, polling only", slog.Any("error", err))
		inbox.Pause(ctx, pauses.NextBackOff())
	}
}

// told is called with the channel on which something was queued, or with none
// when a channel was added or changed.
func (d *Dispatcher) told(id events.ChannelID) {
	if id == "" {
		d.lookNow()
		return
	}
	d.wake(id)
}

// lookNow makes the supervisor look at the channels. It may be called by
// anybody.
func (d *Dispatcher) lookNow() {
	select {
	case d.look <- struct{}{}:
	default: // a look is ahead already
	}
}

// countEvery is how often what waits is counted for the metrics.
const countEvery = 15 * time.Second

// poll is the safety net under listen.
func (d *Dispatcher) poll(ctx context.Context) {
	var counted time.Time
	for inbox.Pause(ctx, inbox.Around(d.opts.PollEvery)) {
		channels := d.held()
		if len(channels) == 0 {
			continue
		}
		due, err := d.db.DueChannels(ctx, channels)
		if err != nil {
			continue // its runners will say so
		}
		for _, id := range due {
			d.wake(id)
		}
		if time.Since(counted) < countEvery {
			continue
		}
		counted = time.Now()
		d.applyMissed(ctx, channels)
		depths, err := d.db.QueueDepths(ctx, channels)
		if err != nil {
			continue
		}
		d.metrics.depths(channels, depths, d.transportOf)
	}
}

// missedAtOnce bounds one look at statuses that crossed their settlement.
const missedAtOnce = 100

// applyMissed applies statuses that were stored in the same instant as the
// settlement of their message, so that neither saw the other.
func (d *Dispatcher) applyMissed(ctx context.Context, channels []events.ChannelID) {
	n, err := d.db.ApplyMissed(ctx, channels, missedAtOnce)
	d.metrics.missed.Add(float64(n))
	if err != nil && ctx.Err() == nil {
		d.log.WarnContext(ctx, "statuses that crossed their settlement wait", slog.Any("error", err))
	}
}

// held lists the channels this process dispatches.
func (d *Dispatcher) held() []events.ChannelID {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := make([]events.ChannelID, 0, len(d.runners))
	for id := range d.runners {
		ids = append(ids, id)
	}
	return ids
}

func (d *Dispatcher) transportOf(id events.ChannelID) events.Transport {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, ok := d.runners[id]; ok {
		return r.channel.Transport
	}
	return ""
}

func (d *Dispatcher) wake(id events.ChannelID) {
	d.mu.Lock()
	r := d.runners[id]
	d.mu.Unlock()
	if r != nil {
		r.poke()
	}
}

func (d *Dispatcher) wakeAll() {
	for _, id := range d.held() {
		d.wake(id)
	}
}
