package sandbox

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
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
	// reset, closed halfway through the answer.
	ServerErrorAfter float64 `json:"server_error_after,omitempty"`
	HangAfter        float64 `json:"hang_after,omitempty"`
	ResetAfter       float64 `json:"reset_after,omitempty"`
	CutAfter         float64 `json:"cut_after,omitempty"`
	// Next are faults by name ("hang_after"; "" for none) for the next sends, one
	// each, before the shares apply.
	Next []string `json:"next,omitempty"`
	// DelayMS holds back every answer to a send, in milliseconds.
	DelayMS int `json:"delay_ms,omitempty"`
	// Redeliver is the share of updates that a webhook gets once more although it
	// answered 2xx.
	Redeliver float64 `json:"redeliver,omitempty"`
	// Copies is how many requests deliver an update at the same time, 1 by
	// default.
	Copies int `json:"copies,omitempty"`
}

// faultPlan is a set of faults in force.
type faultPlan struct {
	TelegramFaults
	mu   sync.Mutex
	next []string
}

// SetFaults replaces the faults in force, also while requests run.
func (t *Telegram) SetFaults(f TelegramFaults) {
	t.faults.Store(&faultPlan{TelegramFaults: f, next: slices.Clone(f.Next)})
}

// Faults in force; Next holds those still to come.
func (t *Telegram) Faults() TelegramFaults {
	plan := t.faults.Load()
	plan.mu.Lock()
	defer plan.mu.Unlock()
	f := plan.TelegramFaults
	f.Next = slices.Clone(plan.next)
	return f
}

// check finds mistakes in faults that came from outside.
func (f TelegramFaults) check() error {
	known := f.shares()
	for _, name := range f.Next {
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
