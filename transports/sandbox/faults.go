package sandbox

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// The faults that can befall a send, by their names in [TelegramFaults],
// [TwilioFaults] and [MailFaults].
const (
	faultTooMany     = "too_many"
	faultServerError = "server_error"
	faultHangBefore  = "hang_before"
	faultResetBefore = "reset_before"
	faultRefuse400   = "refuse_400"
	faultRefuse403   = "refuse_403"

	faultServerErrorAfter = "server_error_after"
	faultHangAfter        = "hang_after"
	faultResetAfter       = "reset_after"
	faultCutAfter         = "cut_after"
	faultHalfCloseAfter   = "half_close_after"
)

func strikesBefore(fault string) bool {
	return fault != "" && !strings.HasSuffix(fault, "_after")
}

// faultShare is how often a fault strikes, between 0 and 1.
type faultShare struct {
	name  string
	share float64
}

// checkFaults finds mistakes in faults that came from outside: of sends one at
// most strikes, so that their shares add up; names are some of them.
func checkFaults(names []string, sends []faultShare, others ...faultShare) error {
	for _, name := range names {
		if name != "" && !slices.ContainsFunc(sends, func(s faultShare) bool { return s.name == name }) {
			return fmt.Errorf("no fault is called %q", name)
		}
	}
	sum := 0.0
	for _, s := range slices.Concat(sends, others) {
		if s.share < 0 || s.share > 1 {
			return fmt.Errorf("the share of %s is not between 0 and 1", s.name)
		}
	}
	for _, s := range sends {
		sum += s.share
	}
	if sum > 1 {
		return fmt.Errorf("the shares sum to %g", sum)
	}
	return nil
}

// faultQueue holds the faults that befall what comes next, one each; "" lets one
// pass.
type faultQueue struct {
	mu    sync.Mutex
	names []string
}

func (q *faultQueue) pop() (name string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.names) == 0 {
		return "", false
	}
	name, q.names = q.names[0], q.names[1:]
	return name, true
}

// left are those still to come.
func (q *faultQueue) left() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.names)
}

// pick is the fault of the queue, or else one that the dice decide about by what
// befalls whom, as the arguments of [dice] tell it; "" is none.
func (q *faultQueue) pick(shares []faultShare, seed uint64, what string, a, b int64) string {
	if name, ok := q.pop(); ok {
		return name
	}
	if !slices.ContainsFunc(shares, func(s faultShare) bool { return s.share > 0 }) {
		return ""
	}
	roll := dice(seed, what, a, b)
	for _, s := range shares {
		if roll -= s.share; roll < 0 {
			return s.name
		}
	}
	return ""
}

// dice is a number in [0, 1) that depends on nothing but its arguments.
func dice(seed uint64, what string, a, b int64) float64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s/%d/%d", what, a, b)
	return rand.New(rand.NewPCG(seed, h.Sum64())).Float64() //nolint:gosec // faults are to repeat
}

// hold waits for d, or for ever if it is negative, unless the stand-in ends or
// its client gives up.
func hold(standIn, client context.Context, d time.Duration) {
	var over <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-client.Done():
	case <-standIn.Done():
	}
}

// closeWrite ends our side of a connection.
func closeWrite(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}

// outlast keeps a connection without a word until the client or the stand-in gives
// up.
func outlast(conn net.Conn, standIn context.Context) {
	defer context.AfterFunc(standIn, func() { _ = conn.Close() })()
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.Close()
}
