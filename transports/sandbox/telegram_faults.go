package sandbox

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"
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

// telegramPlan is a set of faults in force.
type telegramPlan struct {
	TelegramFaults
	next    faultQueue
	changes faultQueue
	polls   atomic.Int64
}

// SetFaults replaces the faults in force, also while requests run.
func (t *Telegram) SetFaults(f TelegramFaults) {
	t.faults.Store(&telegramPlan{
		TelegramFaults: f,
		next:           faultQueue{names: slices.Clone(f.Next)},
		changes:        faultQueue{names: slices.Clone(f.NextChanges)},
	})
}

// Faults in force; Next holds those still to come.
func (t *Telegram) Faults() TelegramFaults {
	plan := t.faults.Load()
	f := plan.TelegramFaults
	f.Next, f.NextChanges = plan.next.left(), plan.changes.left()
	return f
}

// check finds mistakes in faults that came from outside.
func (f TelegramFaults) check() error {
	return checkFaults(slices.Concat(f.Next, f.NextChanges), f.shares(),
		faultShare{"redeliver", f.Redeliver}, faultShare{"reorder", f.Reorder},
		faultShare{"forget", f.Forget}, faultShare{"poll_error", f.PollError})
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
func (p *telegramPlan) pick(seed uint64, chat, nth int64) string {
	return p.next.pick(p.shares(), seed, "send", chat, nth)
}

// pickChange decides about the next edit or reaction.
func (p *telegramPlan) pickChange() string {
	name, _ := p.changes.pop()
	return name
}

// before is the answer to a send that a fault kept from being accepted; nil when
// the fault strikes later. Hangs and resets are the caller's.
func (p *telegramPlan) before(fault string) *refusal {
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
