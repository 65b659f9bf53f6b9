package jetstream

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"parley/events"
)

// FactOptions say which facts to read.
type FactOptions struct {
	// Tenant is needed: nobody reads the facts of all.
	Tenant events.TenantID
	// After is the resume point, the [FactRecord.Place] of the last fact that was
	// handled; the zero place is before the oldest fact that is kept.
	After Place
	// NewOnly begins with what is published from now on; After must be zero.
	NewOnly bool
	// Chat restricts the facts to one chat; 0 is all.
	Chat int64
}

// Place is where in the stream of facts somebody is. It means the same to every
// process, and is told from one in a stream that was deleted and made again.
type Place struct {
	// Seq is the stream's sequence number, counted over all tenants.
	Seq uint64
	// Stream tells the stream by its time of creation; 0 when unknown.
	Stream uint32
}

// String is the form for people and programs to keep: "1234-89abcdef".
func (p Place) String() string {
	if p.Stream == 0 {
		return strconv.FormatUint(p.Seq, 10)
	}
	return fmt.Sprintf("%d-%08x", p.Seq, p.Stream)
}

// ParsePlace reads what [Place.String] writes; a number alone is a place in
// whatever stream there is.
func ParsePlace(text string) (Place, error) {
	seq, stream, named := strings.Cut(text, "-")
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return Place{}, fmt.Errorf("%w: %q is no place in the stream of facts", ErrInvalid, text)
	}
	if !named {
		return Place{Seq: n}, nil
	}
	s, err := strconv.ParseUint(stream, 16, 32)
	if err != nil || len(stream) != 8 || s == 0 {
		return Place{}, fmt.Errorf("%w: %q is no place in the stream of facts", ErrInvalid, text)
	}
	return Place{Seq: n, Stream: uint32(s)}, nil
}

// streamMark is what a place tells a stream by.
func streamMark(identity string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(identity))
	return max(h.Sum32(), 1)
}

// FactRecord is a stored fact. Many readers share it: nobody may change it.
type FactRecord struct {
	// Place is the resume point behind this fact.
	Place    Place
	StoredAt time.Time
	Fact     events.Fact
	// JSON is the fact as it is stored, a CloudEvent.
	JSON []byte
	// Err says why the stored message is no fact, when it is none.
	Err error

	pending uint64
}

// factQueue bounds what waits in front of one reader. One that falls further
// behind reads on by itself until it has caught up, so it costs the others nothing.
const factQueue = 256

// FactReader delivers a tenant's facts in the order they were published, each
// once. Many readers share one reader of the stream; see [feed]. It is used by
// one goroutine, but for Close.
type FactReader struct {
	bus    *Bus
	feed   *feed
	tenant events.TenantID
	chat   int64
	filter string

	// last is what was delivered or passed, upTo until where the feed does not
	// deliver.
	last, upTo uint64

	// Guarded by feed.mu.
	old    *follower[FactRecord] // reads what lies between
	queue  []*FactRecord
	lost   bool // the queue was full, and is now empty
	err    error
	filled chan struct{}
}

// Facts starts reading. It fails with [ErrReset] when facts behind After may be
// gone already, or After is of a stream that was replaced: load the state anew
// and go on with NewOnly.
func (b *Bus) Facts(ctx context.Context, o FactOptions) (*FactReader, error) {
	var chat *int64
	if o.Chat != 0 {
		chat = &o.Chat
	}
	filter, err := factFilter(o.Tenant, chat)
	if err != nil {
		return nil, err
	}
	if o.NewOnly && o.After != (Place{}) {
		return nil, fmt.Errorf("%w: NewOnly and After exclude each other", ErrInvalid)
	}
	info, err := b.streamInfo(ctx, factStream)
	if err != nil {
		return nil, err
	}
	if o.After.Stream != 0 && o.After.Stream != streamMark(identity(info)) {
		return nil, fmt.Errorf("%w: the stream was made anew at %s", ErrReset, identity(info))
	}
	if err := kept(info, o.After.Seq); err != nil {
		return nil, err
	}
	r := &FactReader{
		bus: b, feed: &b.feed, tenant: o.Tenant, chat: o.Chat, filter: filter,
		last: o.After.Seq, filled: make(chan struct{}, 1),
	}
	if o.NewOnly {
		r.last = info.State.LastSeq
	}
	if r.upTo, err = r.feed.join(ctx, b, r); err != nil {
		return nil, err
	}
	return r, nil
}

// kept fails with ErrReset unless everything after a sequence number is there.
func kept(info *natsjs.StreamInfo, after uint64) error {
	first, last := info.State.FirstSeq, info.State.LastSeq
	if after > last || after > 0 && after+1 < first {
		return fmt.Errorf("%w: facts %d to %d are kept, not those after %d", ErrReset, first, last, after)
	}
	return nil
}

// Next waits for a fact and returns it with those already here, at most limit.
// The error is ctx's, [ErrClosed], or [ErrReset] when the stream was
// replaced or the reader fell behind what is kept.
func (r *FactReader) Next(ctx context.Context, limit int) ([]FactRecord, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if r.last < r.upTo {
			recs, err := r.catchUp(ctx, limit)
			if len(recs) > 0 || err != nil {
				return recs, err
			}
			continue
		}
		recs, err := r.take(max(limit, 1))
		if len(recs) > 0 || err != nil {
			return recs, err
		}
		if r.last < r.upTo {
			continue
		}
		select {
		case <-r.filled:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take returns what the feed queued.
func (r *FactReader) take(limit int) ([]FactRecord, error) {
	r.feed.mu.Lock()
	defer r.feed.mu.Unlock()
	var recs []FactRecord
	for len(r.queue) > 0 && len(recs) < limit {
		rec := r.queue[0]
		r.queue = r.queue[1:]
		if rec.Place.Seq > r.last { // or we read it ourselves
			recs = append(recs, *rec)
			r.last = rec.Place.Seq
		}
	}
	switch {
	case len(recs) > 0:
		return recs, nil
	case r.err != nil:
		return nil, r.err
	case r.lost:
		r.lost, r.upTo = false, r.feed.last
	}
	return nil, nil
}

// Place is where the reader is once everything it returned was handled. It moves
// on without facts of its own, so that who rests for long can still resume.
func (r *FactReader) Place() Place {
	r.feed.mu.Lock()
	defer r.feed.mu.Unlock()
	p := Place{Seq: r.last, Stream: r.feed.mark}
	if r.last >= r.upTo && len(r.queue) == 0 && !r.lost && r.err == nil {
		p.Seq = max(r.last, r.feed.last)
	}
	return p
}

// Close ends the reader and whoever waits in Next.
func (r *FactReader) Close() {
	r.feed.leave(r, ErrClosed)
	r.caughtUp()
}

// catchPatience is how long a reader that catches up waits for a fact that was
// there a moment ago before it looks whether it still is.
const catchPatience = 2 * time.Second

// catchUp reads what lies between the reader and where the feed begins.
func (r *FactReader) catchUp(ctx context.Context, limit int) ([]FactRecord, error) {
	old, err := r.reading(ctx)
	if err != nil || old == nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, catchPatience)
	defer cancel()
	recs, err := old.next(wait, limit)
	done := err != nil
	for i, rec := range recs {
		if rec.Place.Seq > r.upTo {
			recs, r.last = recs[:i], r.upTo
			break
		}
		r.last = rec.Place.Seq
		done = done || rec.pending == 0
	}
	if done || r.last >= r.upTo {
		r.caughtUp()
	}
	if err != nil && ctx.Err() == nil && wait.Err() != nil {
		return recs, nil // to look again
	}
	return recs, replaced(err)
}

// reading is what catches up; nil when there is nothing to catch up with.
func (r *FactReader) reading(ctx context.Context) (*follower[FactRecord], error) {
	r.feed.mu.Lock()
	old, err := r.old, r.err
	r.feed.mu.Unlock()
	if old != nil || err != nil {
		return old, err
	}
	switch more, err := r.behind(ctx); {
	case err != nil:
		return nil, err
	case !more:
		r.last = r.upTo
		return nil, nil
	}
	// Not many at once: each costs the server a consumer.
	select {
	case r.bus.catching <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	old, err = followFrom(ctx, r.bus, factStream, r.filter, r.last, true, r.feed.record, func(FactRecord) int { return 1 })
	if err != nil {
		<-r.bus.catching
		return nil, replaced(err)
	}
	r.feed.mu.Lock()
	r.old, err = old, r.err
	r.feed.mu.Unlock()
	if err != nil { // closed meanwhile
		r.caughtUp()
		return nil, err
	}
	return old, nil
}

// caughtUp ends catching up.
func (r *FactReader) caughtUp() {
	r.feed.mu.Lock()
	old := r.old
	r.old = nil
	r.feed.mu.Unlock()
	if old != nil {
		old.close()
		<-r.bus.catching
	}
}

// behind reports whether there is a fact for the reader before the feed begins.
func (r *FactReader) behind(ctx context.Context) (bool, error) {
	ctx, cancel := r.bus.bounded(ctx)
	defer cancel()
	s, err := r.bus.js.Stream(ctx, factStream)
	if err != nil {
		return false, fmt.Errorf("read facts: %w", unavailable(err))
	}
	if err := kept(s.CachedInfo(), r.last); err != nil {
		return false, err
	}
	m, err := s.GetMsg(ctx, r.last+1, natsjs.WithGetMsgSubject(r.filter))
	switch {
	case errors.Is(err, natsjs.ErrMsgNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read facts: %w", unavailable(err))
	}
	return m.Sequence <= r.upTo, nil
}

// replaced makes a stream that was replaced a reason to begin anew.
func replaced(err error) error {
	if errors.Is(err, ErrReplaced) {
		return fmt.Errorf("%w: %w", ErrReset, err)
	}
	return err
}

// FactsEnd is the place behind the newest fact.
func (b *Bus) FactsEnd(ctx context.Context) (Place, error) {
	info, err := b.streamInfo(ctx, factStream)
	if err != nil {
		return Place{}, err
	}
	return Place{Seq: info.State.LastSeq, Stream: streamMark(identity(info))}, nil
}

// FactPlace is the end of the stream of facts, or shortly before it, never behind
// a fact that is published after the call. It asks NATS only while this process has
// no readers, and then fails with [ErrUnavailable] when NATS is away.
func (b *Bus) FactPlace(ctx context.Context) (Place, error) {
	if p, reading := b.feed.place(); reading {
		return p, nil
	}
	return b.FactsEnd(ctx)
}
