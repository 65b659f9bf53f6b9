package sandbox

import (
	"slices"
	"time"
)

// Faults of deliveries, as the log names them.
const (
	faultDropInbound = "drop_inbound"
	faultDropStatus  = "drop_status"
)

// TwilioFaults are what goes wrong. The shares lie between 0 and 1; at most one
// fault befalls a send. Which, is decided by the seed and the number of the send.
type TwilioFaults struct {
	// Not accepted: answered 429 with RetryAfter seconds (1 by default), answered
	// 500, never answered, connection reset, refused for good.
	TooMany     float64 `json:"too_many,omitempty"`
	RetryAfter  int     `json:"retry_after,omitempty"`
	ServerError float64 `json:"server_error,omitempty"`
	HangBefore  float64 `json:"hang_before,omitempty"`
	ResetBefore float64 `json:"reset_before,omitempty"`
	Refuse400   float64 `json:"refuse_400,omitempty"`
	// Accepted and logged, and yet: answered 500, never answered, connection reset,
	// closed halfway through the answer, closed on the stand-in's side only.
	ServerErrorAfter float64 `json:"server_error_after,omitempty"`
	HangAfter        float64 `json:"hang_after,omitempty"`
	ResetAfter       float64 `json:"reset_after,omitempty"`
	CutAfter         float64 `json:"cut_after,omitempty"`
	HalfCloseAfter   float64 `json:"half_close_after,omitempty"`
	// Next are faults by name ("hang_after"; "" for none) for the next sends, one
	// each, before the shares apply.
	Next []string `json:"next,omitempty"`
	// DelayMS holds back every answer to a send, in milliseconds.
	DelayMS int `json:"delay_ms,omitempty"`

	// Undelivered is the share of accepted messages that are not delivered.
	Undelivered float64 `json:"undelivered,omitempty"`
	// Early calls back "sent" before the send is answered; OutOfOrder calls back
	// the last status first; StatusCopies is how often each callback is made;
	// DropStatus is the share that is never made.
	Early        bool    `json:"early,omitempty"`
	OutOfOrder   bool    `json:"out_of_order,omitempty"`
	StatusCopies int     `json:"status_copies,omitempty"`
	DropStatus   float64 `json:"drop_status,omitempty"`

	// DropInbound is the share of inbound messages whose webhook is never called;
	// Redeliver that of those which get it once more although it answered 2xx.
	DropInbound float64 `json:"drop_inbound,omitempty"`
	Redeliver   float64 `json:"redeliver,omitempty"`
	// Copies is how many requests deliver an inbound message at the same time.
	Copies int `json:"copies,omitempty"`
	// JitterMS holds back each webhook by up to so many milliseconds, so that they
	// overtake each other.
	JitterMS int `json:"jitter_ms,omitempty"`
	// MediaLate is how many times each new file is answered 404 before it is there.
	MediaLate int `json:"media_late,omitempty"`
}

// twilioPlan is a set of faults in force.
type twilioPlan struct {
	TwilioFaults
	next faultQueue
}

// SetFaults replaces the faults in force, also while requests run.
func (t *Twilio) SetFaults(f TwilioFaults) {
	t.faults.Store(&twilioPlan{TwilioFaults: f, next: faultQueue{names: slices.Clone(f.Next)}})
}

// Faults in force; Next holds those still to come.
func (t *Twilio) Faults() TwilioFaults {
	plan := t.faults.Load()
	f := plan.TwilioFaults
	f.Next = plan.next.left()
	return f
}

func (f TwilioFaults) shares() []faultShare {
	return []faultShare{
		{faultTooMany, f.TooMany},
		{faultServerError, f.ServerError},
		{faultHangBefore, f.HangBefore},
		{faultResetBefore, f.ResetBefore},
		{faultRefuse400, f.Refuse400},
		{faultServerErrorAfter, f.ServerErrorAfter},
		{faultHangAfter, f.HangAfter},
		{faultResetAfter, f.ResetAfter},
		{faultCutAfter, f.CutAfter},
		{faultHalfCloseAfter, f.HalfCloseAfter},
	}
}

// check finds mistakes in faults that came from outside.
func (f TwilioFaults) check() error {
	return checkFaults(f.Next, f.shares(),
		faultShare{"undelivered", f.Undelivered}, faultShare{faultDropStatus, f.DropStatus},
		faultShare{faultDropInbound, f.DropInbound}, faultShare{"redeliver", f.Redeliver})
}

// pick decides about the nth send.
func (p *twilioPlan) pick(seed uint64, nth int64) string {
	return p.next.pick(p.shares(), seed, "send", nth, 0)
}

// before is the answer to a send that a fault kept from being accepted; nil when
// the fault strikes later. Hangs and resets are the caller's.
func (p *twilioPlan) before(fault string) *twilioRefusal {
	switch fault {
	case faultTooMany:
		return tooManyTwilio(max(p.RetryAfter, 1))
	case faultServerError:
		return internalTwilio()
	case faultRefuse400:
		return twilioBad(99999, "the sandbox was told to refuse")
	}
	return nil
}

// jitter is how long the nth webhook is held back.
func (p *twilioPlan) jitter(seed uint64, n, kind int64) time.Duration {
	if p.JitterMS <= 0 {
		return 0
	}
	return time.Duration(dice(seed, "jitter", n, kind) * float64(p.JitterMS) * float64(time.Millisecond))
}
