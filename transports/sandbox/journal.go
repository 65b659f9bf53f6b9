package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// entry is what a journal holds; E is the type itself.
type entry[E any] interface {
	// numbered is a copy with its number and time.
	numbered(seq int64, at time.Time) E
}

// journal is a stand-in's log: in memory, and in a file of one JSON object per
// line where it has one.
type journal[E entry[E]] struct {
	now func() time.Time

	mu sync.Mutex
	// Entries are kept in blocks of journalBlock: copying a long log to make it
	// longer would hold up everybody who writes to it.
	blocks [][]E
	count  int
	base   int64 // number of the last entry of an earlier run
	file   *os.File
	buf    bytes.Buffer
	failed error
	grown  chan struct{} // closed when an entry is added; nil while nobody waits
}

const journalBlock = 4096

// openJournal appends to the file at path, to none when it is empty. earlier, if
// not nil, is called with each entry of earlier runs and yields its number, from
// which this run goes on.
func openJournal[E entry[E]](path string, now func() time.Time, earlier func(E) (seq int64)) (*journal[E], error) {
	j := &journal[E]{now: now}
	if path == "" {
		return j, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600) //nolint:gosec // the operator's choice
	if err != nil {
		return nil, fmt.Errorf("sandbox log: %w", err)
	}
	j.file = file
	if earlier == nil {
		return j, nil
	}
	if err := j.resume(earlier); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox log: %w", err), file.Close())
	}
	return j, nil
}

// resume reads where an earlier run ended. A line that a crash cut short is
// ended, so that the next starts on its own.
func (j *journal[E]) resume(earlier func(E) int64) error {
	in := bufio.NewReader(j.file)
	for {
		line, err := in.ReadBytes('\n')
		var e E
		if json.Unmarshal(line, &e) == nil {
			j.base = max(j.base, earlier(e))
		}
		if errors.Is(err, io.EOF) {
			if len(line) > 0 {
				_, err := j.file.WriteString("\n")
				return err
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (j *journal[E]) add(e E) {
	at := j.now()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.count%journalBlock == 0 {
		j.blocks = append(j.blocks, make([]E, 0, journalBlock))
	}
	j.count++
	e = e.numbered(j.base+int64(j.count), at)
	last := &j.blocks[len(j.blocks)-1]
	*last = append(*last, e)
	if j.file != nil && j.failed == nil {
		j.buf.Reset()
		if j.failed = json.NewEncoder(&j.buf).Encode(e); j.failed == nil {
			_, j.failed = j.file.Write(j.buf.Bytes())
		}
	}
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
}

// since yields the entries of this run after the one numbered seq.
func (j *journal[E]) since(seq int64) []E {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.from(int(min(max(seq-j.base, 0), int64(j.count))))
}

// from copies the entries of this run from the one with that index on; mu is
// held.
func (j *journal[E]) from(index int) []E {
	out := make([]E, 0, j.count-index)
	for index < j.count {
		rest := j.blocks[index/journalBlock][index%journalBlock:]
		out = append(out, rest...)
		index += len(rest)
	}
	return out
}

// await yields the first entry of this run that matches, waiting for it until ctx
// ends.
func (j *journal[E]) await(ctx context.Context, match func(E) bool) (E, error) {
	next := 0
	for {
		j.mu.Lock()
		fresh := j.from(next)
		var grown chan struct{}
		if len(fresh) == 0 {
			if j.grown == nil {
				j.grown = make(chan struct{})
			}
			grown = j.grown
		}
		j.mu.Unlock()
		for _, e := range fresh {
			if match(e) {
				return e, nil
			}
		}
		next += len(fresh)
		if grown == nil {
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
			var none E
			return none, ctx.Err()
		}
	}
}

func (j *journal[E]) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return j.failed
	}
	err := errors.Join(j.failed, j.file.Close())
	j.file = nil
	return err
}
