package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/tracing"
	"parley/store"
)

// Options of a Router; zero fields mean the defaults.
type Options struct {
	Store *store.DB
	Bus   *jetstream.Bus
	// Owner names this process's life in leases, such as "host/pid/start".
	Owner string
	// LeaseTTL is how long a partition stays ours without a renewal, 10 s by
	// default; it bounds how long a dead router's clients wait.
	LeaseTTL time.Duration
	// MaxBatch limits the records of one transaction, 500 by default.
	MaxBatch int
	// Reparse turns a provider's raw payload (Raw, or the blob RawRef) into
	// events again, for replays; it may be nil.
	Reparse func(ctx context.Context, ev *events.Inbound) ([]events.Inbound, error)
	// Retention is how long stored records stay in the streams, 7 days by
	// default.
	Retention  time.Duration
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Tracer, if any, traces events that were traced when they were accepted, and
	// facts of messages.
	Tracer *tracing.Tracer
}

// Router runs the partitions that it holds leases for.
type Router struct {
	db      *store.DB
	bus     *jetstream.Bus
	opts    Options
	log     *slog.Logger
	metrics *metrics
	// factsWaiting wakes the relay of this process; a relay elsewhere polls.
	factsWaiting chan struct{}
	// replaced tells Run that a stream is not the one that was read before.
	replaced chan error

	mu   sync.Mutex
	held map[int]*holding
}

// holding is a partition that this process is working on.
type holding struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// New makes a router; Run starts it.
func New(o Options) *Router {
	if o.LeaseTTL <= 0 {
		o.LeaseTTL = 10 * time.Second
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = 500
	}
	if o.Retention <= 0 {
		o.Retention = 7 * 24 * time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Router{
		db: o.Store, bus: o.Bus, opts: o, log: o.Logger.With("role", "router"),
		metrics:      newMetrics(o.Registerer),
		factsWaiting: make(chan struct{}, 1),
		replaced:     make(chan error, 1),
		held:         make(map[int]*holding),
	}
}

// Run routes until ctx ends, and returns once the batches under way are stored
// and the leases are given back. It returns an error when the streams are not, or
// no longer, the ones the database answers for; everything that may pass it
// waits for.
func (r *Router) Run(ctx context.Context) error {
	if err := r.register(ctx); err != nil {
		return err
	}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tasks.Go(func() { r.relay(ctx) })
	tasks.Go(func() { r.housekeeping(ctx) })
	tasks.Go(func() { r.observe(ctx) })
	defer r.stopAll()

	presence := presence{db: r.db, name: "router:" + r.opts.Owner, owner: r.opts.Owner, ttl: r.opts.LeaseTTL}
	defer presence.leave(ctx)
	ticker := time.NewTicker(r.opts.LeaseTTL / 4)
	defer ticker.Stop()
	for {
		if err := r.balance(ctx, &presence); err != nil && ctx.Err() == nil {
			r.log.Warn("cannot take partitions; the leases held stay", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-r.replaced:
			// The same check as at the start knows what to do about it.
			return cmp.Or(r.register(ctx), err)
		case <-ticker.C:
		}
	}
}

// register makes the ledger's rows and checks that the streams are its own.
func (r *Router) register(ctx context.Context) error {
	return wait(ctx, r.log, "checking the streams against the ledger", func() error {
		return permanentIfOurs(r.db.EnsurePartitions(ctx, func(ctx context.Context) ([]store.PartitionStream, error) {
			return partitionStreams(ctx, r.bus)
		}))
	})
}

func partitionStreams(ctx context.Context, bus *jetstream.Bus) ([]store.PartitionStream, error) {
	states, err := bus.Streams(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the streams: %w", err)
	}
	streams := make([]store.PartitionStream, len(states))
	for i, s := range states {
		streams[i] = store.PartitionStream{
			Partition: s.Partition, Name: s.Name, Identity: s.Identity, First: s.FirstSeq, Last: s.LastSeq,
		}
	}
	return streams, nil
}

// AdoptStreams accepts the bus's streams as they are; see store.DB.AdoptStreams.
func AdoptStreams(ctx context.Context, db *store.DB, bus *jetstream.Bus) error {
	streams, err := partitionStreams(ctx, bus)
	if err != nil {
		return err
	}
	return db.AdoptStreams(ctx, streams)
}

// balance takes partitions up to this process's fair share and gives back what
// is above it.
func (r *Router) balance(ctx context.Context, p *presence) error {
	routers, err := p.announce(ctx)
	if err != nil {
		return err
	}
	share := (r.bus.Partitions() + routers - 1) / routers
	for r.holds() > share {
		r.giveBackOne()
	}
	for r.holds() < share {
		lease, err := r.db.TakePartition(ctx, r.opts.Owner, r.opts.LeaseTTL)
		if err != nil {
			return err
		}
		if lease == nil {
			return nil
		}
		r.start(ctx, lease)
	}
	return nil
}

func (r *Router) holds() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.held)
}

// start works on a partition until its lease is lost or ctx ends.
func (r *Router) start(ctx context.Context, lease *store.PartitionLease) {
	ctx, cancel := context.WithCancel(ctx)
	h := &holding{cancel: cancel, done: make(chan struct{})}
	r.mu.Lock()
	r.held[lease.Partition] = h
	r.mu.Unlock()
	r.metrics.held.Inc()
	go func() {
		defer close(h.done)
		defer r.metrics.held.Dec()
		defer cancel()
		p := &partition{router: r, lease: lease, log: r.log.With("partition", lease.Partition, "epoch", lease.Epoch)}
		p.run(ctx)
		r.mu.Lock()
		delete(r.held, lease.Partition)
		r.mu.Unlock()
	}()
}

// giveBackOne ends the work on one partition after the batch under way.
func (r *Router) giveBackOne() {
	r.mu.Lock()
	var one *holding
	for _, h := range r.held {
		one = h
		break
	}
	r.mu.Unlock()
	if one != nil {
		one.cancel()
		<-one.done
	}
}

func (r *Router) stopAll() {
	r.mu.Lock()
	all := make([]*holding, 0, len(r.held))
	for _, h := range r.held {
		all = append(all, h)
	}
	r.mu.Unlock()
	for _, h := range all {
		h.cancel()
	}
	for _, h := range all {
		<-h.done
	}
}

// presence lets routers count each other, to share the partitions.
type presence struct {
	db    *store.DB
	name  string
	owner string
	ttl   time.Duration
	lease *store.Lease
}

// announce renews this router's presence and counts the routers alive.
func (p *presence) announce(ctx context.Context) (int, error) {
	if p.lease != nil {
		lease, err := p.db.RenewLease(ctx, *p.lease, p.ttl)
		if err != nil && !errors.Is(err, store.ErrFenced) {
			return 0, err
		}
		p.lease = &lease
		if err != nil {
			p.lease = nil
		}
	}
	if p.lease == nil {
		lease, ok, err := p.db.AcquireLease(ctx, p.name, p.owner, p.ttl)
		if err != nil {
			return 0, err
		}
		if ok {
			p.lease = &lease
		}
	}
	n, err := p.db.CountLeases(ctx, "router:")
	return max(n, 1), err
}

func (p *presence) leave(ctx context.Context) {
	if p.lease == nil {
		return
	}
	// Leaving is a courtesy that must not wait for a database that is down.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = p.db.ReleaseLease(ctx, *p.lease)
}
