package jetstream

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// partitionsKey is the stream metadata that remembers the partition count.
const partitionsKey = "parley-partitions"

// StreamState is what a partition's stream holds.
type StreamState struct {
	Partition int
	Name      string
	// Identity survives restarts and differs once the stream was deleted and
	// made again.
	Identity string
	// FirstSeq is the oldest sequence number that is kept, LastSeq the newest
	// ever given out. An empty stream has FirstSeq = LastSeq + 1.
	FirstSeq, LastSeq uint64
	// Messages are frames, of one event or more each.
	Messages, Bytes uint64
	// Oldest is when the first kept frame was stored; zero when empty.
	Oldest time.Time
}

// prepare makes or adjusts streams and buckets. It returns backoff.Permanent
// errors where trying again cannot help.
func (b *Bus) prepare(ctx context.Context) error {
	if err := b.settlePartitions(ctx); err != nil {
		return err
	}
	for p := range b.opts.Partitions {
		if err := b.ensureStream(ctx, b.inboundConfig(p)); err != nil {
			return err
		}
	}
	if err := b.ensureStream(ctx, b.factConfig()); err != nil {
		return err
	}
	for _, bucket := range buckets() {
		if err := b.ensureBucket(ctx, bucket); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bus) inboundConfig(p int) natsjs.StreamConfig {
	return natsjs.StreamConfig{
		Name:        inboundStream(p),
		Description: "Parley: accepted events of one partition",
		Subjects:    []string{inboundSubject(p)},
		Retention:   natsjs.LimitsPolicy,
		Discard:     natsjs.DiscardNew, // back-pressure, never drop
		Storage:     natsjs.FileStorage,
		Replicas:    max(b.opts.Replicas, 1),
		MaxBytes:    b.opts.MaxBytes,
		Metadata:    map[string]string{partitionsKey: strconv.Itoa(b.opts.Partitions)},
	}
}

func (b *Bus) factConfig() natsjs.StreamConfig {
	return natsjs.StreamConfig{
		Name:               factStream,
		Description:        "Parley: what happened, as CloudEvents",
		Subjects:           []string{factPrefix + ">"},
		Retention:          natsjs.LimitsPolicy,
		Discard:            natsjs.DiscardOld, // facts must never hold up work; readers are told
		Storage:            natsjs.FileStorage,
		Replicas:           max(b.opts.Replicas, 1),
		MaxAge:             max(min(b.opts.Retention, maxRetention), time.Second),
		MaxBytes:           b.opts.Room / 4, // the oldest go first
		AllowAtomicPublish: true,
	}
}

// settlePartitions takes the count from the streams, or chooses one. It refuses
// a count other than the one the streams were made for: people would move
// between partitions, and their order would be lost.
func (b *Bus) settlePartitions(ctx context.Context) error {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	made := 0
	// By name: a list that is read in pages while another process makes the streams
	// can have one twice.
	names := map[string]bool{}
	streams := b.js.ListStreams(ctx)
	for info := range streams.Info() {
		if !strings.HasPrefix(info.Config.Name, inboundPrefix) {
			continue
		}
		names[info.Config.Name] = true
		if n, err := strconv.Atoi(info.Config.Metadata[partitionsKey]); err == nil {
			made = max(made, n)
		}
	}
	if err := streams.Err(); err != nil {
		return fmt.Errorf("list streams: %w", err)
	}
	found := len(names)
	want := b.opts.Partitions
	switch {
	case want != 0:
	case found > 0:
		want = made
	case b.opts.Embedded != nil:
		want = min(max(runtime.GOMAXPROCS(0), minEmbedded), maxEmbedded)
	default:
		want = defaultPartitions
	}
	if found == 0 || made == want && found <= made { // fewer: the first start was cut short
		b.opts.Partitions = want
		if b.opts.MaxBytes <= 0 {
			b.opts.MaxBytes = b.opts.Room / int64(want)
		}
		return nil
	}
	return backoff.Permanent(fmt.Errorf("%w: the streams %s* were made for %d partitions, %d are configured; "+
		"set the partitions back to %d, or to change them stop every gateway, let the routers reach the end of all partitions, "+
		"delete the streams and start with the new count",
		ErrPartitions, inboundPrefix, max(made, found), want, max(made, found)))
}

// ensureStream creates a stream or changes what is safe to change on the one
// that is there: limits and replicas. A difference that promises rest on is
// refused.
func (b *Bus) ensureStream(ctx context.Context, want natsjs.StreamConfig) error {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	s, err := b.js.Stream(ctx, want.Name)
	if errors.Is(err, natsjs.ErrStreamNotFound) {
		if _, err = b.js.CreateStream(ctx, want); err != nil {
			return fmt.Errorf("create stream %s: %w", want.Name, settled(err))
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", want.Name, err)
	}
	have := s.CachedInfo().Config
	if have.Retention != want.Retention || have.Storage != want.Storage || have.Discard != want.Discard || have.NoAck ||
		have.PersistMode != natsjs.DefaultPersistMode || !equalSubjects(have.Subjects, want.Subjects) {
		return backoff.Permanent(fmt.Errorf("stream %s exists with retention %s, storage %s, discard %s, subjects %v or acknowledgements that would break Parley's promises; "+
			"rename or delete it if it is not Parley's", want.Name, have.Retention, have.Storage, have.Discard, have.Subjects))
	}
	next := have // what an operator added, such as placement, stays
	next.MaxBytes, next.MaxAge = want.MaxBytes, want.MaxAge
	if b.opts.Replicas != 0 { // who was not told, as a command beside the servers, leaves them
		next.Replicas = b.opts.Replicas
	}
	next.MaxMsgSize = -1 // frames grow with load, whatever the size of an event
	next.AllowAtomicPublish = have.AllowAtomicPublish || want.AllowAtomicPublish
	if next.MaxAge > 0 {
		next.Duplicates = min(next.Duplicates, next.MaxAge) // unused, but the server insists
	}
	if next.Replicas == have.Replicas && next.MaxBytes == have.MaxBytes && next.MaxAge == have.MaxAge &&
		next.MaxMsgSize == have.MaxMsgSize && next.AllowAtomicPublish == have.AllowAtomicPublish {
		return nil
	}
	b.log.Info("changing limits of a stream", "stream", want.Name, "replicas", next.Replicas, "max_bytes", next.MaxBytes, "max_age", next.MaxAge)
	if _, err := b.js.UpdateStream(ctx, next); err != nil {
		return fmt.Errorf("change stream %s: %w", want.Name, settled(err))
	}
	return nil
}

// ensureBucket creates a key-value bucket or adjusts its replicas.
func (b *Bus) ensureBucket(ctx context.Context, name string) error {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	kv, err := b.js.KeyValue(ctx, name)
	if errors.Is(err, natsjs.ErrBucketNotFound) {
		kv, err = b.js.CreateKeyValue(ctx, natsjs.KeyValueConfig{
			Bucket:      name,
			Description: "Parley",
			History:     1,
			Storage:     natsjs.FileStorage,
			Replicas:    max(b.opts.Replicas, 1),
		})
		if err != nil {
			return fmt.Errorf("create bucket %s: %w", name, settled(err))
		}
	}
	if err != nil {
		return fmt.Errorf("look up bucket %s: %w", name, err)
	}
	s, err := b.js.Stream(ctx, kvStream(name))
	if err != nil {
		return fmt.Errorf("look up bucket %s: %w", name, err)
	}
	if cfg := s.CachedInfo().Config; b.opts.Replicas != 0 && cfg.Replicas != b.opts.Replicas {
		cfg.Replicas = b.opts.Replicas
		if _, err := b.js.UpdateStream(ctx, cfg); err != nil {
			return fmt.Errorf("change bucket %s: %w", name, settled(err))
		}
	}
	b.kv[name] = kv
	return nil
}

// kvStream is the stream behind a bucket
// (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-8.md).
func kvStream(bucket string) string { return "KV_" + bucket }

// settled marks refusals as permanent: they do not change by asking again. Most
// are 4xx; an invalid configuration and one too large for the server are not,
// while a cluster that has not found its peers is.
func settled(err error) error {
	var api *natsjs.APIError
	if errors.As(err, &api) && (api.Code >= 400 && api.Code < 500 && api.ErrorCode != codeNoPeers ||
		api.ErrorCode == codeInvalidConfig || api.ErrorCode == codeNoStorage) {
		return backoff.Permanent(err)
	}
	return err
}

func equalSubjects(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	a, b = append([]string(nil), a...), append([]string(nil), b...)
	sort.Strings(a)
	sort.Strings(b)
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Streams describes every partition's stream, in order.
func (b *Bus) Streams(ctx context.Context) ([]StreamState, error) {
	var all []StreamState
	for p := range b.opts.Partitions {
		st, err := b.streamState(ctx, p)
		if err != nil {
			return nil, err
		}
		all = append(all, st)
	}
	return all, nil
}

func (b *Bus) streamState(ctx context.Context, partition int) (StreamState, error) {
	s, err := b.stream(ctx, partition)
	if err != nil {
		return StreamState{}, err
	}
	info := s.CachedInfo()
	st := StreamState{
		Partition: partition,
		Name:      info.Config.Name,
		Identity:  identity(info),
		FirstSeq:  info.State.FirstSeq,
		LastSeq:   info.State.LastSeq,
		Messages:  info.State.Msgs,
		Bytes:     info.State.Bytes,
	}
	if info.State.Msgs > 0 {
		st.Oldest = info.State.FirstTime
	} else {
		st.FirstSeq = info.State.LastSeq + 1 // a new stream says 0
	}
	return st, nil
}

// identity is the creation time: the server keeps it with the stream and never
// gives the same one twice.
func identity(info *natsjs.StreamInfo) string { return info.Created.UTC().Format(time.RFC3339Nano) }

// stream looks up a partition's stream with its current state.
func (b *Bus) stream(ctx context.Context, partition int) (natsjs.Stream, error) {
	if partition < 0 || partition >= b.opts.Partitions {
		return nil, fmt.Errorf("%w: there is no partition %d", ErrInvalid, partition)
	}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	s, err := b.js.Stream(ctx, inboundStream(partition))
	if err != nil {
		return nil, fmt.Errorf("look up partition %d: %w", partition, unavailable(err))
	}
	return s, nil
}

// Purge removes from a partition the frames that are both below the sequence
// number below, the lowest checkpoint, and older than olderThan; olderThan
// shorter than the bus's retention counts as the retention. It returns how
// many frames went.
func (b *Bus) Purge(ctx context.Context, partition int, below uint64, olderThan time.Duration) (uint64, error) {
	s, err := b.stream(ctx, partition)
	if err != nil {
		return 0, err
	}
	before := s.CachedInfo().State
	if before.Msgs == 0 || below <= before.FirstSeq {
		return 0, nil
	}
	cut := b.now().Add(-max(olderThan, b.opts.Retention))
	if !before.FirstTime.Before(cut) {
		return 0, nil // as nearly always
	}
	old := func(seq uint64) (bool, error) {
		ctx, cancel := b.bounded(ctx)
		defer cancel()
		// A sequence number that is gone counts as the next one.
		msg, err := s.GetMsg(ctx, seq, natsjs.WithGetMsgSubject(inboundSubject(partition)))
		if errors.Is(err, natsjs.ErrMsgNotFound) {
			return false, nil // nothing from here on
		}
		return err == nil && msg.Time.Before(cut), err
	}
	span := int(min(below, before.LastSeq+1) - before.FirstSeq)                                       //nolint:gosec // a stream has far fewer frames
	n, err := firstYoung(span, func(i int) (bool, error) { return old(before.FirstSeq + uint64(i)) }) //nolint:gosec // not negative
	if err != nil {
		return 0, fmt.Errorf("purge partition %d: %w", partition, unavailable(err))
	}
	if n == 0 {
		return 0, nil
	}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	keep := before.FirstSeq + uint64(n) //nolint:gosec // not negative
	if err := s.Purge(ctx, natsjs.WithPurgeSequence(keep)); err != nil {
		return 0, fmt.Errorf("purge partition %d: %w", partition, unavailable(err))
	}
	after, err := s.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("purge partition %d: %w", partition, unavailable(err))
	}
	return after.State.FirstSeq - before.FirstSeq, nil
}

// firstYoung finds the first of n that is not old; whatever is behind it is not,
// either. It looks from the front, in growing steps: the server reads a block of
// megabytes for each look, and what is old is little and in front.
func firstYoung(n int, old func(int) (bool, error)) (int, error) {
	low, high := 0, 1 // what is below low is old
	for high <= n {
		is, err := old(high - 1)
		if err != nil {
			return 0, err
		}
		if !is {
			break
		}
		low, high = high, 2*high
	}
	var failed error
	high = min(high-1, n)
	found := low + sort.Search(max(high-low, 0), func(i int) bool {
		is, err := old(low + i)
		failed = errors.Join(failed, err)
		return failed != nil || !is
	})
	return found, failed
}

// unavailable marks failures of the way to NATS, as opposed to answers from it.
func unavailable(err error) error {
	var api *natsjs.APIError
	if err == nil || errors.As(err, &api) && api.Code < 500 || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
