package phones

import (
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"

	"parley/transports/sandbox"
)

// faults are what goes wrong, as chosen on the page, on all networks alike. The
// command line has finer ones, for each stand-in of its own.
type faults struct {
	// Strike befalls what the business sends, as Often says.
	Strike, Often string
	// Twice delivers what a client writes twice, Late only after a while.
	Twice, Late bool
}

// Any says that something goes wrong.
func (f faults) Any() bool { return f.Strike != "" || f.Twice || f.Late }

// choice is one of a list.
type choice struct{ Value, Words string }

func strikes() []choice {
	return []choice{
		{"", "Everything arrives"},
		{"too_many", "429: too many requests"},
		{"server_error", "500: the provider is broken"},
		{"hang_after", "Accepted, but the answer never comes"},
		{"reset_after", "Accepted, but the line breaks"},
		{"refuse", "Refused for good"},
	}
}

func often() []choice {
	return []choice{{"next", "the next message"}, {"half", "every other, about"}, {"all", "every message"}}
}

// lateMS is how late Late is, in milliseconds.
const lateMS = 3000

// setting holds the faults that were chosen last.
type setting struct{ atomic.Pointer[faults] }

func (s *setting) get() faults {
	if f := s.Load(); f != nil {
		return *f
	}
	return faults{}
}

func (p *pages) setFaults(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	f := faults{
		Strike: r.PostFormValue("strike"), Often: r.PostFormValue("often"),
		Twice: r.PostFormValue("twice") != "", Late: r.PostFormValue("late") != "",
	}
	among := func(cs []choice, v string) bool {
		return slices.ContainsFunc(cs, func(c choice) bool { return c.Value == v })
	}
	if !among(strikes(), f.Strike) || !among(often(), f.Often) {
		http.Error(w, "There is no such fault.", http.StatusUnprocessableEntity)
		return
	}
	p.Telegram.SetFaults(f.telegram())
	p.Twilio.SetFaults(f.twilio())
	p.Mail.SetFaults(f.mail())
	p.faults.Store(&f)
	http.Redirect(w, r, "/?who="+url.QueryEscape(who(r))+"#faults", http.StatusSeeOther)
}

// share is how often a fault strikes; next that it strikes once.
func (f faults) share() (share float64, next bool) {
	switch f.Often {
	case "half":
		return 0.5, false
	case "all":
		return 1, false
	}
	return 0, true
}

func (f faults) telegram() (t sandbox.TelegramFaults) {
	share, next := f.share()
	name := f.Strike
	switch f.Strike {
	case "":
		next = false
	case "too_many":
		t.TooMany = share
	case "server_error":
		t.ServerError = share
	case "hang_after":
		t.HangAfter = share
	case "reset_after":
		t.ResetAfter = share
	case "refuse":
		name, t.Refuse400 = "refuse_400", share
	}
	if next {
		t.Next = []string{name}
	}
	if f.Twice {
		t.Redeliver, t.Forget, t.Copies = 1, 1, 2
	}
	if f.Late {
		t.DelayMS, t.UpdateDelayMS = lateMS, lateMS
	}
	return t
}

func (f faults) twilio() (t sandbox.TwilioFaults) {
	share, next := f.share()
	name := f.Strike
	switch f.Strike {
	case "":
		next = false
	case "too_many":
		t.TooMany = share
	case "server_error":
		t.ServerError = share
	case "hang_after":
		t.HangAfter = share
	case "reset_after":
		t.ResetAfter = share
	case "refuse":
		name, t.Refuse400 = "refuse_400", share
	}
	if next {
		t.Next = []string{name}
	}
	if f.Twice {
		t.Redeliver, t.Copies, t.StatusCopies = 1, 2, 2
	}
	if f.Late {
		t.DelayMS, t.JitterMS = lateMS, lateMS
	}
	return t
}

// mail has fewer: servers say 451 for what is 429 and 500 elsewhere, and a mail
// is delivered once.
func (f faults) mail() (m sandbox.MailFaults) {
	share, next := f.share()
	name := ""
	switch f.Strike {
	case "":
		next = false
	case "too_many", "server_error":
		name, m.Refuse4xx = "refuse_4xx", share
	case "hang_after", "reset_after":
		name, m.CutAfter = "cut_after", share
	case "refuse":
		name, m.Refuse5xx = "refuse_5xx", share
	}
	if next {
		m.Next = []string{name}
	}
	if f.Late {
		m.DelayMS = lateMS
	}
	return m
}
