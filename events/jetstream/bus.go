package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"parley/events"
)

// Options configure a [Bus]. Exactly one of Embedded and URL is needed.
type Options struct {
	// Embedded is a server in this process; see [Embed].
	Embedded *Embedded
	// URL of an external NATS 2.15 or later, or several separated by commas.
	// User and password may be part of it.
	URL string
	// CredentialsFile is a NATS credentials file (JWT and seed), optional.
	CredentialsFile string
	// CAFile holds the root certificates for tls:// URLs, optional.
	CAFile string
	// Name is what NATS shows for the connection; default "parley".
	Name string
	// Partitions is the number of inbound streams, 1 to 256. It is fixed when the
	// streams are made; 0 takes it from those that are there. New ones are then 4
	// on a server of its own, and as many as processors, 2 to 16, on an embedded
	// one: each partition is a writer, and more of them than processors only make
	// smaller batches.
	Partitions int
	// Replicas of every stream and bucket, 1, 3 or 5; more need as many servers. 0
	// leaves those that are there as they are, and makes new ones with 1.
	Replicas int
	// Retention is how long records are kept once every router is past them,
	// and how long facts are kept at all; default and maximum for facts 7 days.
	Retention time.Duration
	// Room is how much in bytes all inbound partitions together may hold; default
	// [DefaultRoom]. Facts may take a quarter of that besides, and the server must
	// have room for both.
	Room int64
	// MaxBytes is how much one inbound partition may hold before it answers
	// [ErrBackPressure]; default Room divided by the partitions.
	MaxBytes int64
	// AckTimeout is how long JetStream may take to confirm; default 5 s.
	AckTimeout time.Duration
	// Logger defaults to none.
	Logger *slog.Logger
	// Observer is told what happens, for metrics.
	Observer Observer
}

// DefaultRoom is what all inbound partitions together may hold, in bytes.
const DefaultRoom = 32 << 30

// Defaults and bounds of [Options].
const (
	defaultPartitions = 4
	// Of an embedded server.
	minEmbedded, maxEmbedded = 2, 16
	maxPartitions            = 256
	maxRetention             = 7 * 24 * time.Hour
	defaultAckTimeout        = 5 * time.Second
	catchAtOnce              = 16
	// embeddedWrites: one disk gains little from more fsyncs at once, and while
	// partitions wait their turn their frames grow, which spares everybody else
	// work. Measured on two busy cores, four partitions, medians of four runs:
	// 32 callers got 7,000 events a second stored with one, 12,000 with two,
	// 10,000 with no limit; 256 callers 27,000, 35,000 and 38,000, the last in
	// half again as many frames.
	embeddedWrites = 2
)

func (o *Options) setDefaults() error {
	if (o.Embedded == nil) == (o.URL == "") {
		return errors.New("bus needs either an embedded server or a NATS URL")
	}
	if o.Name == "" {
		o.Name = "parley"
	}
	if o.Partitions < 0 || o.Partitions > maxPartitions {
		return fmt.Errorf("partitions must be 1 to %d, or 0 for what fits, not %d", maxPartitions, o.Partitions)
	}
	if o.Replicas != 0 && o.Replicas != 1 && o.Replicas != 3 && o.Replicas != 5 {
		return fmt.Errorf("replicas must be 1, 3 or 5, or 0 for as they are, not %d", o.Replicas)
	}
	if o.Replicas > 1 && o.Embedded != nil {
		return errors.New("an embedded NATS is one server and cannot keep replicas; run three of its own and give their URLs")
	}
	if o.Retention <= 0 {
		o.Retention = maxRetention
	}
	if o.Room <= 0 {
		o.Room = DefaultRoom
	}
	if o.AckTimeout <= 0 {
		o.AckTimeout = defaultAckTimeout
	}
	o.Logger = logger(o.Logger)
	return nil
}

// Bus is a connection to NATS with Parley's streams and buckets in place. It is
// safe for concurrent use.
type Bus struct {
	opts   Options
	log    *slog.Logger
	link   *link
	js     natsjs.JetStream
	parts  []*publisher
	facts  *publisher
	kv     map[string]natsjs.KeyValue
	leases observations
	feed   feed
	// catching has room for the readers of facts that may catch up at once.
	catching chan struct{}
	// writes has room for the exchanges that may be under way at once.
	writes chan struct{}
	now    func() time.Time // with a monotonic reading

	closing sync.Once
}

// Open connects and makes the streams and buckets that are missing. While NATS
// is unreachable it keeps trying, and says so in the log, until ctx ends; after
// that the connection comes back by itself for as long as the bus is open.
//
// It fails at once with [ErrVersion], [ErrPartitions], refused credentials, or
// a configuration that NATS rejects.
func Open(ctx context.Context, o Options) (*Bus, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	b := &Bus{opts: o, log: o.Logger, kv: map[string]natsjs.KeyValue{}, now: time.Now, catching: make(chan struct{}, catchAtOnce)}
	b.leases.seen = map[string]observation{}
	if err := b.connect(ctx); err != nil {
		return nil, err
	}
	if err := retry(ctx, b.log, "preparing streams", b.prepare); err != nil {
		b.link.conn.Close()
		return nil, err
	}
	b.writes = make(chan struct{}, b.opts.Partitions+1)
	if o.Embedded != nil {
		b.writes = make(chan struct{}, embeddedWrites)
	}
	for p := range b.opts.Partitions {
		b.parts = append(b.parts, newPublisher(b, inboundStream(p)))
	}
	b.facts = newPublisher(b, factStream)
	for _, p := range append([]*publisher{b.facts}, b.parts...) {
		if err := p.start(); err != nil {
			b.Close()
			return nil, err
		}
	}
	return b, nil
}

// Attach connects to the NATS that a server has prepared, for an operator's command:
// it makes and changes no stream and no bucket. What is kept in buckets can be read and
// written, and nothing be published. It tries for as long as ctx lasts.
func Attach(ctx context.Context, url string) (*Bus, error) {
	o := Options{URL: url, Name: "parley-command"}
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	b := &Bus{opts: o, log: o.Logger, kv: map[string]natsjs.KeyValue{}, now: time.Now}
	b.leases.seen = map[string]observation{}
	if err := b.connect(ctx); err != nil {
		return nil, err
	}
	for _, name := range buckets() {
		kv, err := b.js.KeyValue(ctx, name)
		if err != nil {
			b.Close()
			return nil, fmt.Errorf("look up bucket %s: %w", name, err)
		}
		b.kv[name] = kv
	}
	return b, nil
}

// Partitions is how many inbound streams there are.
func (b *Bus) Partitions() int { return b.opts.Partitions }

// PartitionOf is the partition that ev goes to.
func (b *Bus) PartitionOf(ev *events.Inbound) int {
	return Partition(ev.Tenant, ev.Person.Identity, b.opts.Partitions)
}

// bounded is ctx for one request to NATS: an answer may never come, as from a
// cluster that is electing.
func (b *Bus) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, b.opts.AckTimeout)
}

// Connected reports whether NATS can be reached right now.
func (b *Bus) Connected() bool { return b.link.conn.IsConnected() }

// Close refuses new events, waits until what was offered is settled, at most
// the acknowledgement timeout, and disconnects. Readers end with [ErrClosed].
func (b *Bus) Close() {
	b.closing.Do(func() {
		for _, p := range b.parts {
			p.stop()
		}
		if b.facts != nil { // not where it was attached
			b.facts.stop()
		}
		for _, p := range b.parts {
			p.wait()
		}
		if b.facts != nil {
			b.facts.wait()
		}
		b.link.conn.Close()
	})
}
