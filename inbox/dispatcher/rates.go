package dispatcher

import (
	"time"

	"golang.org/x/time/rate"

	"parley/transports"
)

// rates keeps an account within what its provider allows, and each person
// within what they are allowed.
type rates struct {
	account *rate.Limiter
	limit   transports.Rate
	persons map[string]*rate.Limiter
	// crowd is how many persons there may be before the next look at whom to
	// forget.
	crowd int
}

// maxPersons is how many people are remembered before those are forgotten that
// have their whole burst again.
const maxPersons = 10_000

func newRates(caps transports.Capabilities) *rates {
	return &rates{account: limiter(caps.Rate), limit: caps.PersonRate, persons: make(map[string]*rate.Limiter), crowd: maxPersons}
}

// limiter is nil where there is no limit.
func limiter(r transports.Rate) *rate.Limiter {
	if r.Messages <= 0 || r.Per <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(float64(r.Messages)/r.Per.Seconds()), max(r.Burst, 1))
}

// allow is how many of limit may be sent now, and when the next may if none.
func (r *rates) allow(now time.Time, limit int) (n int, wait time.Duration) {
	if r.account == nil {
		return limit, 0
	}
	return min(limit, int(r.account.TokensAt(now))), untilToken(r.account, now)
}

// person is how long this person must not be written to yet, zero when they may.
func (r *rates) person(now time.Time, lane string) time.Duration {
	if l := r.persons[lane]; l != nil {
		return untilToken(l, now)
	}
	return 0
}

// take counts a send.
func (r *rates) take(now time.Time, lane string) {
	if r.account != nil {
		r.account.AllowN(now, 1)
	}
	if r.limit.Messages <= 0 || r.limit.Per <= 0 {
		return
	}
	l := r.persons[lane]
	if l == nil {
		r.forget(now)
		l = limiter(r.limit)
		r.persons[lane] = l
	}
	l.AllowN(now, 1)
}

func (r *rates) forget(now time.Time) {
	if len(r.persons) < r.crowd {
		return
	}
	for lane, l := range r.persons {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(r.persons, lane)
		}
	}
	r.crowd = max(maxPersons, 2*len(r.persons))
}

// untilToken is how long until the limiter allows one more.
func untilToken(l *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - l.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / float64(l.Limit()) * float64(time.Second))
}
