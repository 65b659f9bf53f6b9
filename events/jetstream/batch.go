package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Headers of atomic batch publishing
// (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md).
const (
	batchID     = "Nats-Batch-Id"
	batchSeq    = "Nats-Batch-Sequence"
	batchCommit = "Nats-Batch-Commit"
)

// Error codes of JetStream answers
// (https://github.com/nats-io/nats-server/blob/main/server/errors.json).
const (
	codeAccountLimit      = 10002
	codeNoPeers           = 10005
	codeInsufficient      = 10023
	codeNoMemory          = 10028
	codeNoStorage         = 10047
	codeMessageTooLarge   = 10054
	codeInvalidConfig     = 10052
	codeStoreFailed       = 10077 // discard new: "maximum bytes exceeded"
	codeTooManyRequests   = 10167
	codeBatchTooLarge     = 10199
	codeTooManyInflight   = 10210
	codeHeaderTooLarge    = 10097
	codeBatchIncomplete   = 10176
	statusNoResponders    = "503"
	outcomeUnknownMessage = "whether it was stored is unknown"
)

// refusal is an answer from JetStream: nothing of what it answers was stored.
type refusal struct {
	kind error // one of the errors that callers switch on, or nil
	api  *natsjs.APIError
}

func (r *refusal) Error() string {
	if r.kind == nil {
		return "JetStream refused: " + r.api.Error()
	}
	return r.kind.Error() + ": " + r.api.Error()
}

func (r *refusal) Unwrap() []error {
	if r.kind == nil {
		return []error{r.api}
	}
	return []error{r.kind, r.api}
}

// refused reports whether err is JetStream's own no, after which the parts of a
// batch may be tried alone.
func refused(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}

// answer is a publish acknowledgement or refusal.
type answer struct {
	Error  *natsjs.APIError `json:"error"`
	Stream string           `json:"stream"`
	Seq    uint64           `json:"seq"`
	Batch  string           `json:"batch"`
	Count  int              `json:"count"`
}

// parseAnswer turns a reply into an answer, or the error it stands for.
func (p *publisher) parseAnswer(m *nats.Msg) (answer, error) {
	var a answer
	if len(m.Data) == 0 && m.Header.Get("Status") == statusNoResponders {
		return a, fmt.Errorf("%w: nobody serves stream %s", ErrUnavailable, p.stream)
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return a, fmt.Errorf("%w: unreadable acknowledgement, %s: %w", ErrUnavailable, outcomeUnknownMessage, err)
	}
	if a.Error != nil {
		return a, &refusal{kind: kindOf(a.Error), api: a.Error}
	}
	if a.Stream != p.stream || a.Seq == 0 {
		return a, fmt.Errorf("%w: acknowledged by stream %q, not %q", ErrUnavailable, a.Stream, p.stream)
	}
	return a, nil
}

func kindOf(e *natsjs.APIError) error {
	switch int(e.ErrorCode) {
	case codeMessageTooLarge, codeHeaderTooLarge:
		return ErrTooLarge
	case codeStoreFailed, codeAccountLimit, codeInsufficient, codeNoMemory, codeNoStorage, codeTooManyRequests:
		return ErrBackPressure
	case codeTooManyInflight, codeBatchIncomplete, codeBatchTooLarge:
		return ErrUnavailable // the batch's fault; alone it may pass
	}
	if e.Code >= 500 {
		return ErrUnavailable
	}
	return nil
}

// sendSingly publishes one-message groups one behind the other and settles each
// by its own answer.
func (p *publisher) sendSingly(groups []*group) {
	start := time.Now()
	base := p.nextID
	p.nextID += uint64(len(groups))
	lost := p.bus.link.lost()
	open := 0
	for i, g := range groups {
		e := g.entries[0]
		if err := p.post(lost, &nats.Msg{Subject: e.subject, Reply: p.replyTo(base + uint64(i)), Data: e.data}); err != nil {
			g.settle(err)
			groups[i] = nil
			continue
		}
		open++
	}
	var shared error
	sent := open
	for open > 0 {
		id, m, err := p.await(lost, start)
		if err != nil {
			shared = err
			break
		}
		i := id - base
		if id < base || i >= uint64(len(groups)) || groups[i] == nil {
			continue // a late answer to something given up
		}
		_, err = p.parseAnswer(m)
		if err != nil && len(groups) == 1 {
			shared = err
		}
		groups[i].settle(err)
		groups[i] = nil
		open--
	}
	took := time.Since(start)
	for _, g := range groups {
		if g != nil {
			g.settle(shared)
		}
	}
	if shared == nil && sent > 0 {
		p.cost.sentSingly(sent, took)
	}
	p.bus.opts.Observer.published(p.stream, len(groups), false, took, shared)
}

// sendBatch publishes the entries of groups as one atomic batch: all are stored
// or, when refused says so, none. The server only says what was wrong with a
// message that asks for an answer: with diagnose all of them ask.
func (p *publisher) sendBatch(groups []*group, messages int, diagnose bool) (err error) {
	start := time.Now()
	defer func() {
		took := time.Since(start)
		if err == nil {
			p.cost.sentBatch(messages, took)
		}
		p.bus.opts.Observer.published(p.stream, messages, true, took, err)
	}()
	first := p.nextID
	p.nextID += uint64(messages) //nolint:gosec // not negative
	last := p.nextID - 1
	id := []string{nuid.Next()}
	lost := p.bus.link.lost()
	n := 0
	for _, g := range groups {
		for _, e := range g.entries {
			n++
			m := &nats.Msg{Subject: e.subject, Data: e.data, Header: nats.Header{batchID: id, batchSeq: {strconv.Itoa(n)}}}
			if n == messages {
				m.Header[batchCommit] = []string{"1"}
			}
			if n == 1 || n == messages || diagnose { // the first says why a batch cannot even begin
				m.Reply = p.replyTo(first + uint64(n) - 1)
			}
			if err := p.post(lost, m); err != nil {
				return err // not committed: the server forgets the rest
			}
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
			return nil
		}
	}
}

// post hands a message to the connection. An error means that it was not sent.
func (p *publisher) post(lost <-chan struct{}, m *nats.Msg) error {
	select {
	case <-lost:
		return fmt.Errorf("%w: not connected", ErrUnavailable)
	default:
	}
	switch err := p.bus.link.conn.PublishMsg(m); {
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

func (p *publisher) replyTo(id uint64) string { return p.inbox + "." + strconv.FormatUint(id, 10) }

// await returns the next answer, or ErrUnavailable when none can be expected
// any more: what was sent may or may not be stored.
func (p *publisher) await(lost <-chan struct{}, start time.Time) (id uint64, m *nats.Msg, err error) {
	timer := time.NewTimer(p.timeout - time.Since(start))
	defer timer.Stop()
	for {
		select {
		case m := <-p.acks:
			id, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, p.inbox+"."), 10, 64)
			if err != nil {
				continue
			}
			return id, m, nil
		case <-lost:
			return 0, nil, fmt.Errorf("%w: connection lost, %s", ErrUnavailable, outcomeUnknownMessage)
		case <-timer.C:
			return 0, nil, fmt.Errorf("%w: no acknowledgement from stream %s within %v, %s", ErrUnavailable, p.stream, p.timeout, outcomeUnknownMessage)
		}
	}
}
