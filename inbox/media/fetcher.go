package media

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/transports"
)

// Options of a Fetcher. DB, Library and Open are needed; zero fields of the rest
// mean the defaults.
type Options struct {
	DB      *store.DB
	Library *Library
	// Open opens a client's file at its provider. Raw is the event's payload for
	// those that came within it. Its errors hold no secret. They are those of
	// transports.MediaOpener, or ErrCannotFetch.
	Open func(ctx context.Context, ch events.Channel, a events.Attachment, raw json.RawMessage) (transports.Media, error)
	// Payload reads the payload of a job's event from the bus; ErrNoPayload when it
	// is no longer there.
	Payload    func(ctx context.Context, j *store.MediaJob) (json.RawMessage, error)
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Owner names this process's life in leases.
	Owner string

	// Concurrency is how many files are under way at once, 8 by default.
	Concurrency int
	// Timeout is how long one file may take, 10 min by default; Stall how long
	// nothing of it may come, 30 s by default.
	Timeout, Stall time.Duration
	// PollEvery is how often to look for files to fetch, 1 s by default, jittered.
	PollEvery time.Duration
	// RetryFirst and RetryMost bound the waits between tries, 5 s and 30 min by
	// default; GiveUp is how long a file is tried for, 24 h by default.
	RetryFirst, RetryMost, GiveUp time.Duration
	// SweepEvery is how often what no message has is removed, 1 h by default. Files
	// younger than KeepUnused stay: agents' that may still be sent, and blobs whose
	// rows are on their way; 24 h by default. Payloads younger than KeepPayloads
	// stay, 30 days by default: the events that name them may still be on the bus.
	SweepEvery, KeepUnused, KeepPayloads time.Duration
}

// Errors of Options.Open and Options.Payload that no other try mends.
var (
	// ErrCannotFetch says that this kind of channel hands out no files.
	ErrCannotFetch = errors.New("this kind of channel hands out no files")
	// ErrNoPayload says that the event's payload is no longer kept.
	ErrNoPayload = errors.New("what the provider sent is no longer kept")
)

func (o *Options) defaults() {
	setDefault(&o.Concurrency, 8)
	setDefault(&o.Timeout, 10*time.Minute)
	setDefault(&o.Stall, 30*time.Second)
	setDefault(&o.PollEvery, time.Second)
	setDefault(&o.RetryFirst, 5*time.Second)
	setDefault(&o.RetryMost, 30*time.Minute)
	setDefault(&o.GiveUp, 24*time.Hour)
	setDefault(&o.SweepEvery, time.Hour)
	setDefault(&o.KeepUnused, 24*time.Hour)
	setDefault(&o.KeepPayloads, 30*24*time.Hour)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T time.Duration | int](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Fetcher fetches clients' files after their messages were stored, and sweeps
// away what no message has.
type Fetcher struct {
	opts    Options
	log     *slog.Logger
	metrics *metrics
	// payloads is held while a whole payload is in memory.
	payloads chan struct{}

	mu sync.Mutex
	// busy counts the files under way, by channel.
	busy map[events.ChannelID]int
	free int
	// freed tells Run that something ended.
	freed chan struct{}
}

// New makes a fetcher; Run starts it.
func New(o Options) (*Fetcher, error) {
	if o.DB == nil || o.Library == nil || o.Open == nil {
		return nil, errors.New("media: DB, Library and Open are needed")
	}
	o.defaults()
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	return &Fetcher{
		opts: o, log: o.Logger, metrics: m, payloads: make(chan struct{}, 1),
		busy: make(map[events.ChannelID]int), free: o.Concurrency, freed: make(chan struct{}, 1),
	}, nil
}

// Run fetches until ctx ends; what is under way then is cut short and tried
// again by the next process. A database that is down is waited for.
func (f *Fetcher) Run(ctx context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { f.observe(ctx) })
	tasks.Go(func() { f.sweep(ctx) })
	for ctx.Err() == nil {
		jobs, more, err := f.claim(ctx)
		if err != nil {
			if ctx.Err() == nil {
				f.log.WarnContext(ctx, "files to fetch could not be looked up, trying again", slog.Any("error", err))
			}
			inbox.Pause(ctx, 5*f.opts.PollEvery)
			continue
		}
		if len(jobs) > 0 {
			channels, err := f.channels(ctx)
			for _, group := range grouped(jobs) {
				f.took(group[0].Channel)
				tasks.Go(func() {
					defer f.gave(group[0].Channel)
					f.work(ctx, channels, err, group)
				})
			}
		}
		f.wait(ctx, more)
	}
}

// leaseOf is how long a claim may go unsettled: longer than its work takes.
func (f *Fetcher) leaseOf() time.Duration { return f.opts.Timeout + time.Minute }

// claim takes files for the places that are free. More says that others may be
// waiting.
func (f *Fetcher) claim(ctx context.Context) (jobs []store.MediaJob, more bool, err error) {
	// Half of the places at most for one channel, and for one claim therefore.
	half := max(1, f.opts.Concurrency/2)
	f.mu.Lock()
	limit := min(f.free, half)
	var busy []events.ChannelID
	for id, n := range f.busy {
		if n >= half {
			busy = append(busy, id)
		}
	}
	f.mu.Unlock()
	if limit == 0 {
		return nil, true, nil
	}
	jobs, err = f.opts.DB.ClaimMedia(ctx, limit, f.leaseOf(), busy)
	return jobs, len(jobs) == limit, err
}

// wait returns when it is worth looking again.
func (f *Fetcher) wait(ctx context.Context, more bool) {
	f.mu.Lock()
	free := f.free
	f.mu.Unlock()
	if more && free > 0 {
		return
	}
	timer := time.NewTimer(inbox.Around(f.opts.PollEvery))
	defer timer.Stop()
	freed := f.freed
	if !more {
		freed = nil // nothing waits for the place
	}
	select {
	case <-freed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (f *Fetcher) took(ch events.ChannelID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy[ch]++
	f.free--
}

func (f *Fetcher) gave(ch events.ChannelID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free++
	if f.busy[ch]--; f.busy[ch] == 0 {
		delete(f.busy, ch)
	}
	select {
	case f.freed <- struct{}{}:
	default: // told already
	}
}

// channels are those there are.
func (f *Fetcher) channels(ctx context.Context) (map[events.ChannelID]events.Channel, error) {
	list, err := f.opts.DB.WorkerChannels(ctx)
	all := make(map[events.ChannelID]events.Channel, len(list))
	for _, ch := range list {
		all[ch.ID] = ch
	}
	return all, err
}

// grouped puts the files of one message's payload together, so that it is read
// once. The jobs are sorted by message.
func grouped(jobs []store.MediaJob) (groups [][]store.MediaJob) {
	for _, j := range jobs {
		if n := len(groups); n > 0 && j.Attachment.InRaw {
			if last := groups[n-1][0]; last.Message == j.Message && last.Attachment.InRaw {
				groups[n-1] = append(groups[n-1], j)
				continue
			}
		}
		groups = append(groups, []store.MediaJob{j})
	}
	return groups
}
