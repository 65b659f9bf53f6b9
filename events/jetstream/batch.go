package jetstream

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// Headers of atomic batch publishing
// (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md).
const (
	batchID     = "Nats-Batch-Id"
	batchSeq    = "Nats-Batch-Sequence"
	batchCommit = "Nats-Batch-Commit"
)

// expectedSeq makes the server store a message, or the batch that it begins, only
// while the stream ends at that sequence number
// (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md).
const expectedSeq = "Nats-Expected-Last-Sequence"

// expect adds the condition of a group to its first message.
func (g *group) expect(m *nats.Msg) {
	if g.after == nil {
		return
	}
	if m.Header == nil {
		m.Header = nats.Header{}
	}
	m.Header[expectedSeq] = []string{strconv.FormatUint(*g.after, 10)}
}

// stored notes where the stream ends now.
func (g *group) stored(a answer) {
	if g.after != nil {
		*g.after = a.Seq
	}
}

// sendFacts stores a group of facts, each under a subject of its own.
func (p *publisher) sendFacts(g *group) {
	start := time.Now()
	atomic := len(g.entries) > 1
	var err error
	if atomic {
		if err = p.sendBatch(g, false); refused(err) && !errors.Is(err, errMoved) {
			p.bus.log.Warn("a batch was refused, asking why", "stream", p.stream, "messages", len(g.entries), "error", err)
			err = p.sendBatch(g, true)
		}
	} else {
		m := &nats.Msg{Subject: g.entries[0].subject, Data: g.entries[0].data, Header: traces([]*group{g}, 1)}
		g.expect(m)
		var a answer
		if a, err = p.exchange(m); err == nil {
			g.stored(a)
		}
	}
	p.bus.opts.Observer.published(p.stream, len(g.entries), atomic, time.Since(start), err)
	g.settle(err)
}

// sendBatch publishes entries as one atomic batch: all are stored or, when
// refused says so, none. The server only says what was wrong with a message that
// asks for an answer: with diagnose all of them ask.
func (p *publisher) sendBatch(g *group, diagnose bool) error {
	start := time.Now()
	messages := len(g.entries)
	first := p.nextID
	p.nextID += uint64(messages)
	last := p.nextID - 1
	id := []string{nuid.Next()}
	lost := p.bus.link.lost()
	for i, e := range g.entries {
		m := &nats.Msg{Subject: e.subject, Data: e.data, Header: nats.Header{batchID: id, batchSeq: {strconv.Itoa(i + 1)}}}
		if e.trace != "" {
			m.Header[traceHeader] = []string{e.trace}
		}
		if i == 0 {
			g.expect(m)
		}
		if i == messages-1 {
			m.Header[batchCommit] = []string{"1"}
		}
		if i == 0 || i == messages-1 || diagnose { // the first says why a batch cannot even begin
			m.Reply = p.replyTo(first + uint64(i))
		}
		if err := p.post(lost, m); err != nil {
			return err // not committed: the server forgets the rest
		}
	}
	var cause error
	for {
		got, m, err := p.await(lost, start)
		switch {
		case err != nil:
			return err
		case got >= first && got < last && cause == nil && len(m.Data) > 0:
			_, cause = p.parseAnswer(m)
		case got == last:
			a, err := p.parseAnswer(m)
			if err != nil && cause != nil {
				return cause
			}
			if err != nil {
				return err
			}
			if a.Batch != id[0] || a.Count != messages {
				return fmt.Errorf("%w: batch acknowledged as %q with %d of %d messages", ErrUnavailable, a.Batch, a.Count, messages)
			}
			g.stored(a)
			return nil
		}
	}
}
