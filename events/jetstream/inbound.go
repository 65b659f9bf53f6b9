package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"parley/events"
)

// Publish accepts events: it returns nil only once all of them are durable.
// Events of one partition are stored in the order given, and when one is not
// stored, none behind it is. Callers that come together share frames, and with
// them the outcome.
//
// On error offer the same events again: [ErrBackPressure] later, [ErrTooLarge]
// and [ErrInvalid] only after changing them, anything else at once. Some of
// them may have been stored. A caller whose ctx ends while its events wait
// takes them back; once they are on their way the outcome decides, at most the
// acknowledgement timeout later.
func (b *Bus) Publish(ctx context.Context, evs ...events.Inbound) error {
	byPartition := map[int][]entry{}
	for i := range evs {
		data, err := encode(&evs[i])
		if err != nil {
			return fmt.Errorf("%w: event %s: %w", ErrInvalid, evs[i].ID, err)
		}
		p := b.PartitionOf(&evs[i])
		byPartition[p] = append(byPartition[p], entry{subject: inboundSubject(p), data: data, trace: evs[i].Trace})
	}
	if len(byPartition) == 1 {
		for p, entries := range byPartition {
			return b.parts[p].publish(ctx, entries)
		}
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for p, entries := range byPartition {
		wg.Go(func() {
			if err := b.parts[p].publish(ctx, entries); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// encode leaves <, > and & alone: raw payloads stay as they came.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Reader delivers the records of one partition in stream order.
type Reader struct{ f *follower[[]Record] }

// Reader starts reading partition behind sequence number after; 0 is the
// beginning. It fails with [ErrReplaced] when the stream ends before after.
func (b *Bus) Reader(ctx context.Context, partition int, after uint64) (*Reader, error) {
	if _, err := b.stream(ctx, partition); err != nil {
		return nil, err
	}
	f, err := followFrom(ctx, b, inboundStream(partition), "", after, false, decodeFrame, func(frame []Record) int { return len(frame) })
	if err != nil {
		return nil, err
	}
	return &Reader{f}, nil
}

// Next waits for a frame and returns its records, with those of the whole frames
// that are already here, at most maxRecords of them and a few megabytes; a frame
// that is larger comes alone. They rise by Seq and Index, and no Seq is ever
// split between two calls. A gap in Seq means that somebody deleted frames by
// hand. Lost connections and server restarts only delay it. The error is ctx's,
// [ErrClosed] or [ErrReplaced].
func (r *Reader) Next(ctx context.Context, maxRecords int) ([]Record, error) {
	frames, err := r.f.next(ctx, maxRecords)
	return slices.Concat(frames...), err
}

// Close ends the reader and whoever waits in Next.
func (r *Reader) Close() { r.f.close() }

// Get returns the records of one frame, at least one, or [ErrNotFound].
func (b *Bus) Get(ctx context.Context, partition int, seq uint64) ([]Record, error) {
	s, err := b.stream(ctx, partition)
	if err != nil {
		return nil, err
	}
	if seq == 0 {
		return nil, fmt.Errorf("%w: partition %d has no frame 0", ErrNotFound, partition)
	}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	m, err := s.GetMsg(ctx, seq)
	if errors.Is(err, natsjs.ErrMsgNotFound) {
		return nil, fmt.Errorf("%w: partition %d, frame %d", ErrNotFound, partition, seq)
	}
	if err != nil {
		return nil, fmt.Errorf("get frame %d of partition %d: %w", seq, partition, unavailable(err))
	}
	return decodeFrame(stored{seq: m.Sequence, at: m.Time, data: m.Data}), nil
}

// Scan calls f with every kept record of the frames from sequence number from up
// to and including to, as of now, in order of Seq and Index; to 0 is the newest.
// It stops at f's first error and returns it. A lost connection only delays it;
// when NATS stays away it fails with [ErrUnavailable].
func (b *Bus) Scan(ctx context.Context, partition int, from, to uint64, f func(Record) error) error {
	if _, err := b.stream(ctx, partition); err != nil {
		return err
	}
	return scan(ctx, b, inboundStream(partition), "", from, to, func(m stored) error {
		for _, r := range decodeFrame(m) {
			if err := f(r); err != nil {
				return err
			}
		}
		return nil
	})
}
