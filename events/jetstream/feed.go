package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"parley/events"
)

// feed reads the stream of facts once for all readers of this process, and hands
// each fact to those of its tenant. It reads only while there are readers.
//
// A reader's queue is bounded: when it is full it is emptied, and the reader goes
// back to the stream for what it misses. So nobody waits for a slow one.
type feed struct {
	mu      sync.Mutex
	source  *follower[stored] // nil while nobody reads
	last    uint64            // what was handed out
	mark    uint32            // the stream's
	readers map[events.TenantID]map[*FactReader]struct{}
	count   int
}

// join adds a reader, and returns behind where the feed delivers to it.
func (f *feed) join(ctx context.Context, b *Bus, r *FactReader) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.source == nil {
		info, err := b.streamInfo(ctx, factStream)
		if err != nil {
			return 0, err
		}
		source, err := followFrom(ctx, b, factStream, factPrefix+">", info.State.LastSeq, true,
			func(m stored) stored { return m }, func(stored) int { return 1 })
		if err != nil {
			return 0, replaced(err)
		}
		f.source, f.last, f.mark = source, info.State.LastSeq, streamMark(identity(info))
		f.readers, f.count = map[events.TenantID]map[*FactReader]struct{}{}, 0
		go f.run(source) //nolint:gosec // it serves all readers, and ends with the last
	}
	if f.readers[r.tenant] == nil {
		f.readers[r.tenant] = map[*FactReader]struct{}{}
	}
	f.readers[r.tenant][r] = struct{}{}
	f.count++
	return f.last, nil
}

// leave removes a reader and ends it with err. The last one takes the feed along.
func (f *feed) leave(r *FactReader, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.err == nil {
		r.err, r.queue = err, nil
		token(r.filled)
	}
	if _, in := f.readers[r.tenant][r]; !in {
		return
	}
	delete(f.readers[r.tenant], r)
	if len(f.readers[r.tenant]) == 0 {
		delete(f.readers, r.tenant)
	}
	if f.count--; f.count == 0 {
		f.source.cancel() // run ends by itself
		f.source = nil
	}
}

// place is what was handed out, while there are readers.
func (f *feed) place() (Place, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Place{Seq: f.last, Stream: f.mark}, f.source != nil
}

// feedBatch is how many facts are handed out under one lock.
const feedBatch = 500

func (f *feed) run(source *follower[stored]) {
	defer source.close()
	for {
		batch, err := source.next(context.Background(), feedBatch) // close ends it
		if !f.hand(source, batch, replaced(err)) {
			return
		}
	}
}

// hand gives facts, or the end, to whom they concern. It reports whether there may
// be more to hand out.
func (f *feed) hand(source *follower[stored], batch []stored, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.source != source {
		return false // nobody reads it any more
	}
	if err != nil {
		for _, readers := range f.readers {
			for r := range readers {
				r.err = err // what is queued is still delivered
				token(r.filled)
			}
		}
		f.source, f.readers, f.count = nil, nil, 0
		return false
	}
	for _, m := range batch {
		f.last = m.seq
		tenant, chat := factAbout(m.subject)
		var rec *FactRecord
		for r := range f.readers[tenant] {
			if r.lost || r.chat != 0 && r.chat != chat {
				continue
			}
			if len(r.queue) == factQueue {
				r.queue, r.lost = nil, true
				token(r.filled)
				continue
			}
			if rec == nil {
				decoded := f.decode(m)
				rec = &decoded
			}
			r.queue = append(r.queue, rec)
			token(r.filled)
		}
	}
	return true
}

// record is decode for who does not hold the lock.
func (f *feed) record(m stored) FactRecord {
	f.mu.Lock()
	mark := f.mark
	f.mu.Unlock()
	return decodeFact(m, mark)
}

func (f *feed) decode(m stored) FactRecord { return decodeFact(m, f.mark) }

func decodeFact(m stored, mark uint32) FactRecord {
	r := FactRecord{Place: Place{Seq: m.seq, Stream: mark}, StoredAt: m.at, JSON: m.data, pending: m.pending}
	if err := json.Unmarshal(m.data, &r.Fact); err != nil {
		r.Fact = events.Fact{}
		r.Err = fmt.Errorf("message %d is not a fact: %w", m.seq, err)
	}
	return r
}

// factAbout reads tenant and chat from a subject.
func factAbout(subject string) (tenant events.TenantID, chat int64) {
	rest := strings.TrimPrefix(subject, factPrefix)
	who, _, _ := strings.Cut(rest, ".")
	chat, _ = strconv.ParseInt(rest[strings.LastIndexByte(rest, '.')+1:], 10, 64)
	return events.TenantID(who), chat
}
