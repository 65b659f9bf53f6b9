package sandbox

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-smtp"
)

// Faults of mails that are submitted.
const (
	faultRefuse4xx = "refuse_4xx"
	faultRefuse5xx = "refuse_5xx"
	faultCutBefore = "cut_before"
)

// MailFaults are what goes wrong. The shares lie between 0 and 1; at most one
// fault befalls a mail that is submitted. Which, is decided by the seed and the
// number of the mail.
type MailFaults struct {
	// Not taken: answered 451 or 554 after the data, connection cut instead of an
	// answer.
	Refuse4xx float64 `json:"refuse_4xx,omitempty"`
	Refuse5xx float64 `json:"refuse_5xx,omitempty"`
	CutBefore float64 `json:"cut_before,omitempty"`
	// Taken, and yet: connection cut instead of an answer, never answered, closed on
	// the stand-in's side only.
	CutAfter       float64 `json:"cut_after,omitempty"`
	HangAfter      float64 `json:"hang_after,omitempty"`
	HalfCloseAfter float64 `json:"half_close_after,omitempty"`
	// Next are faults by name ("cut_after"; "" for none) for the next mails, one
	// each, before the shares apply.
	Next []string `json:"next,omitempty"`
	// DelayMS holds back the answer to the data, in milliseconds.
	DelayMS int `json:"delay_ms,omitempty"`

	// Copies is how often each mail to the business comes, 1 by default; Reorder is
	// the share of those that come behind the next one, for which they wait.
	Copies  int     `json:"copies,omitempty"`
	Reorder float64 `json:"reorder,omitempty"`

	// DropIdleMS cuts each connection that has been in IDLE (RFC 2177) for so many
	// milliseconds; MuteIdle keeps IDLE from telling anything, so that new mail is
	// found by looking only.
	DropIdleMS int  `json:"drop_idle_ms,omitempty"`
	MuteIdle   bool `json:"mute_idle,omitempty"`
}

// mailPlan is a set of faults in force.
type mailPlan struct {
	MailFaults
	next faultQueue
	// replaced is closed when other faults are.
	replaced chan struct{}
}

// SetFaults replaces the faults in force, also for connections in IDLE. A mail
// that waits for the next one comes.
func (m *Mail) SetFaults(f MailFaults) {
	plan := &mailPlan{MailFaults: f, next: faultQueue{names: slices.Clone(f.Next)}, replaced: make(chan struct{})}
	if old := m.faults.Swap(plan); old != nil {
		close(old.replaced)
	}
	m.mu.Lock()
	held := m.held
	m.held = nil
	m.mu.Unlock()
	if held != nil {
		_ = m.put(held) // as before, or not at all: the stand-in is closing
	}
}

// overtaken holds a mail back, when it is its turn to come behind the next one. It
// yields what is to come now, in order.
func (m *Mail) overtaken(raw []byte) [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.came++
	if m.held != nil {
		both := [][]byte{raw, m.held}
		m.held = nil
		return both
	}
	if plan := m.faults.Load(); plan.Reorder > 0 && dice(m.opts.Seed, "reorder", m.came, 0) < plan.Reorder {
		m.held = bytes.Clone(raw)
		return nil
	}
	return [][]byte{raw}
}

// Faults in force; Next holds those still to come.
func (m *Mail) Faults() MailFaults {
	plan := m.faults.Load()
	f := plan.MailFaults
	f.Next = plan.next.left()
	return f
}

func (f MailFaults) shares() []faultShare {
	return []faultShare{
		{faultRefuse4xx, f.Refuse4xx},
		{faultRefuse5xx, f.Refuse5xx},
		{faultCutBefore, f.CutBefore},
		{faultCutAfter, f.CutAfter},
		{faultHangAfter, f.HangAfter},
		{faultHalfCloseAfter, f.HalfCloseAfter},
	}
}

// check finds mistakes in faults that came from outside.
func (f MailFaults) check() error {
	if err := checkFaults(f.Next, f.shares(), faultShare{"reorder", f.Reorder}); err != nil {
		return err
	}
	if f.DelayMS < 0 || f.DropIdleMS < 0 || f.Copies < 0 {
		return errors.New("a time or a number of copies is negative")
	}
	return nil
}

// pick decides about the nth mail.
func (p *mailPlan) pick(seed uint64, nth int64) string {
	return p.next.pick(p.shares(), seed, "submit", nth, 0)
}

// faulty takes a mail whose data has come, unless a fault is in the way. What it
// returns is the answer to the data.
func (s *submission) faulty(take func() error) error {
	s.m.mu.Lock()
	s.m.nth++
	nth := s.m.nth
	s.m.mu.Unlock()
	plan := s.m.faults.Load()
	fault := plan.pick(s.m.opts.Seed, nth)
	var err error
	switch fault {
	case faultRefuse4xx:
		err = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "The sandbox was told to refuse for now"}
	case faultRefuse5xx:
		err = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "The sandbox was told to refuse"}
	case faultCutBefore:
	default:
		err = take()
	}
	if plan.DelayMS > 0 {
		hold(s.m.stop, context.Background(), time.Duration(plan.DelayMS)*time.Millisecond)
	}
	switch fault {
	case faultCutBefore, faultCutAfter:
		_ = s.conn.Conn().Close()
	case faultHangAfter:
		outlast(s.conn.Conn(), s.m.stop)
	case faultHalfCloseAfter:
		closeWrite(s.conn.Conn())
		outlast(s.conn.Conn(), s.m.stop)
	}
	return err
}

// Idle implements [imapserver.Session]. The library's own tells nothing of a mail
// that came just before; this one looks first, as servers do.
func (s *mailSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	began := time.Now()
	for {
		plan, changed := s.m.faults.Load(), s.m.changed()
		if !plan.MuteIdle {
			if err := s.Poll(w, true); err != nil {
				return err
			}
		}
		var drop <-chan time.Time
		if plan.DropIdleMS > 0 {
			drop = time.After(time.Until(began.Add(time.Duration(plan.DropIdleMS) * time.Millisecond)))
		}
		select {
		case <-changed:
		case <-plan.replaced:
		case <-drop:
			return s.conn.NetConn().Close()
		case <-stop:
			return nil
		}
	}
}

// Append implements [imapserver.Session].
func (s *mailSession) Append(folder string, r imap.LiteralReader, options *imap.AppendOptions) (*imap.AppendData, error) {
	defer s.m.announce()
	return s.Session.Append(folder, r, options)
}

// changed is closed when a mail was put into a folder.
func (m *Mail) changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.news
}

// announce tells connections in IDLE.
func (m *Mail) announce() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.news)
	m.news = make(chan struct{})
}
