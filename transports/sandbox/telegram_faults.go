package sandbox

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The faults that can befall a send, by their names in [TelegramFaults].
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

// TelegramFaults are what goes wrong. The shares lie between 0 and 1; at most
// one fault befalls a send. Which, is decided by the seed, the chat and the
// number of the send in its chat, and so does not depend on what else goes on.
type TelegramFaults struct {
	// Not accepted: answered 429 with RetryAfter seconds (1 by default), answered
	// 500, never answered, connection reset, refused for good.
	TooMany     float64 `json:"too_many,omitempty"`
	RetryAfter  int     `json:"retry_after,omitempty"`
	ServerError float64 `json:"server_error,omitempty"`
	HangBefore  float64 `json:"hang_before,omitempty"`
	ResetBefore float64 `json:"reset_before,omitempty"`
	Refuse400   float64 `json:"refuse_400,omitempty"`
	Refuse403   float64 `json:"refuse_403,omitempty"`
	// Accepted and logged, and yet: answered 500, never answered, connection
	// reset, closed halfway through the answer, closed on the stand-in's side only.
	ServerErrorAfter float64 `json:"server_error_after,omitempty"`
	HangAfter        float64 `json:"hang_after,omitempty"`
	ResetAfter       float64 `json:"reset_after,omitempty"`
	CutAfter         float64 `json:"cut_after,omitempty"`
	HalfCloseAfter   float64 `json:"half_close_after,omitempty"`
	// Next are faults by name ("hang_after"; "" for none) for the next sends, one
	// each, before the shares apply.
	Next []string `json:"next,omitempty"`
	// NextChanges are faults by name for the next edits, reactions and deletions;
	// shares do not apply to them.
	NextChanges []string `json:"next_changes,omitempty"`
	// DelayMS holds back every answer to a send, in milliseconds.
	DelayMS int `json:"delay_ms,omitempty"`
	// Redeliver is the share of updates that a webhook gets once more although it
	// answered 2xx.
	Redeliver float64 `json:"redeliver,omitempty"`
	// Copies is how many requests deliver an update at the same time, 1 by
	// default.
	Copies int `json:"copies,omitempty"`
	// Reorder is the share of updates that a webhook gets after the next of the
	// same chat, if that waits already.
	Reorder float64 `json:"reorder,omitempty"`
	// UpdateDelayMS holds back every delivery to a webhook, in milliseconds.
	UpdateDelayMS int `json:"update_delay_ms,omitempty"`
	// Forget is the share of updates whose confirmation by polling is forgotten
	// once, so that they come again.
	Forget float64 `json:"forget,omitempty"`
	// PollError is the share of polls that are answered 502.
	PollError float64 `json:"poll_error,omitempty"`
}

// faultPlan is a set of faults in force.
type faultPlan struct {
	TelegramFaults
	mu      sync.Mutex
	next    []string
	changes []string
	polls   atomic.Int64
}

// SetFaults replaces the faults in force, also while requests run.
func (t *Telegram) SetFaults(f TelegramFaults) {
	t.faults.Store(&faultPlan{TelegramFaults: f, next: slices.Clone(f.Next), changes: slices.Clone(f.NextChanges)})
}

// Faults in force; Next holds those still to come.
func (t *Telegram) Faults() TelegramFaults {
	plan := t.faults.Load()
	plan.mu.Lock()
	defer plan.mu.Unlock()
	f := plan.TelegramFaults
	f.Next, f.NextChanges = slices.Clone(plan.next), slices.Clone(plan.changes)
	return f
}

// check finds mistakes in faults that came from outside.
func (f TelegramFaults) check() error {
	known := f.shares()
	for _, name := range slices.Concat(f.Next, f.NextChanges) {
		if name != "" && !slices.ContainsFunc(known, func(s faultShare) bool { return s.name == name }) {
			return fmt.Errorf("no fault is called %q", name)
		}
	}
	sum := 0.0
	for _, s := range known {
		if s.share < 0 {
			return fmt.Errorf("the share of %s is negative", s.name)
		}
		sum += s.share
	}
	for _, s := range []faultShare{{"redeliver", f.Redeliver}, {"reorder", f.Reorder}, {"forget", f.Forget}, {"poll_error", f.PollError}} {
		if s.share < 0 || s.share > 1 {
			return fmt.Errorf("the share of %s is %g", s.name, s.share)
		}
	}
	if sum > 1 {
		return fmt.Errorf("the shares sum to %g", sum)
	}
	return nil
}

type faultShare struct {
	name  string
	share float64
}

func (f TelegramFaults) shares() []faultShare {
	return []faultShare{
		{faultTooMany, f.TooMany},
		{faultServerError, f.ServerError},
		{faultHangBefore, f.HangBefore},
		{faultResetBefore, f.ResetBefore},
		{faultRefuse400, f.Refuse400},
		{faultRefuse403, f.Refuse403},
		{faultServerErrorAfter, f.ServerErrorAfter},
		{faultHangAfter, f.HangAfter},
		{faultResetAfter, f.ResetAfter},
		{faultCutAfter, f.CutAfter},
		{faultHalfCloseAfter, f.HalfCloseAfter},
	}
}

// pick decides about the nth send to a chat.
func (p *faultPlan) pick(seed uint64, chat, nth int64) string {
	if len(p.Next) > 0 {
		p.mu.Lock()
		if len(p.next) > 0 {
			name := p.next[0]
			p.next = p.next[1:]
			p.mu.Unlock()
			return name
		}
		p.mu.Unlock()
	}
	shares := p.shares()
	if !slices.ContainsFunc(shares, func(s faultShare) bool { return s.share > 0 }) {
		return ""
	}
	roll := dice(seed, "send", chat, nth)
	for _, s := range shares {
		if roll -= s.share; roll < 0 {
			return s.name
		}
	}
	return ""
}

// pickChange decides about the next edit or reaction.
func (p *faultPlan) pickChange() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.changes) == 0 {
		return ""
	}
	name := p.changes[0]
	p.changes = p.changes[1:]
	return name
}

// dice is a number in [0, 1) that depends on nothing but its arguments.
func dice(seed uint64, what string, a, b int64) float64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s/%d/%d", what, a, b)
	return rand.New(rand.NewPCG(seed, h.Sum64())).Float64() //nolint:gosec // faults are to repeat
}

// before is the answer to a send that a fault kept from being accepted; nil when
// the fault strikes later. Hangs and resets are the caller's.
func (p *faultPlan) before(fault string) *refusal {
	switch fault {
	case faultTooMany:
		return tooMany(time.Duration(max(p.RetryAfter, 1)) * time.Second)
	case faultServerError:
		return &refusal{Code: http.StatusInternalServerError, Words: "Internal Server Error"}
	case faultRefuse400:
		return badRequest("the sandbox was told to refuse")
	case faultRefuse403:
		return &refusal{Code: http.StatusForbidden, Words: "Forbidden: bot was blocked by the user"}
	}
	return nil
}

func strikesBefore(fault string) bool {
	return fault != "" && !strings.HasSuffix(fault, "_after")
}
