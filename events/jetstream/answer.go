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
	codeMoved             = 10071 // "wrong last sequence"
	statusNoResponders    = "503"
	outcomeUnknownMessage = "whether it was stored is unknown"
)

// errMoved refuses what was to be stored behind a sequence number that is no
// longer the stream's last.
var errMoved = errors.New("something else was stored meanwhile")

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

// refused reports whether err is JetStream's own no: nothing was stored.
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
	case codeMoved:
		return errMoved
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

// exchange publishes one message and waits for its acknowledgement.
func (p *publisher) exchange(m *nats.Msg) (answer, error) {
	start := time.Now()
	id := p.nextID
	p.nextID++
	m.Reply = p.replyTo(id)
	lost := p.bus.link.lost()
	if err := p.post(lost, m); err != nil {
		return answer{}, err
	}
	for {
		got, reply, err := p.await(lost, start)
		if err != nil {
			return answer{}, err
		}
		if got == id { // others are late answers to what was given up
			return p.parseAnswer(reply)
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
