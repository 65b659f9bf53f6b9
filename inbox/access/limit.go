package access

import (
	"container/list"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// mostLimited bounds the memory of a Limiter: it knows that many callers, each in
// about 300 bytes, and forgets whoever was longest away.
const mostLimited = 20_000

// Limit is how fast one caller may go on: PerSecond over time, and Burst at once.
type Limit struct {
	Name      string
	PerSecond float64
	Burst     int
}

// Limiter keeps callers to a limit. It counts in this process's memory: see
// docs/decisions/0070.
type Limiter struct {
	limit Limit
	now   func() time.Time

	mu    sync.Mutex
	known map[[32]byte]*list.Element
	// order has the last seen in front.
	order list.List
}

type limited struct {
	key    [32]byte
	bucket *rate.Limiter
}

// NewLimiter makes a limiter; now is time.Now when nil.
func NewLimiter(l Limit, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	return &Limiter{limit: l, now: now, known: map[[32]byte]*list.Element{}}
}

// Allowance is what a caller has left.
type Allowance struct {
	OK bool
	// Left is how many requests may follow at once; Wait, of a refusal, how long
	// until the next one may.
	Left  int
	Wait  time.Duration
	limit Limit
}

// Take counts one request of a caller.
func (l *Limiter) Take(key [32]byte) Allowance {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.known[key]
	if at == nil {
		if l.order.Len() >= mostLimited {
			oldest := l.order.Back()
			delete(l.known, l.order.Remove(oldest).(limited).key) //nolint:forcetypeassert // nothing else is in it
		}
		at = l.order.PushFront(limited{key, rate.NewLimiter(rate.Limit(l.limit.PerSecond), l.limit.Burst)})
		l.known[key] = at
	}
	l.order.MoveToFront(at)
	bucket, now := at.Value.(limited).bucket, l.now() //nolint:forcetypeassert // as above
	out := Allowance{OK: bucket.AllowN(now, 1), limit: l.limit}
	if left := bucket.TokensAt(now); left >= 1 {
		out.Left = int(left)
	} else if !out.OK {
		out.Wait = time.Duration((1 - left) / l.limit.PerSecond * float64(time.Second))
	}
	return out
}

// Headers are the RateLimit fields of an answer
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/10/):
// the policy, and what is left of it and for how long.
func (a Allowance) Headers() (policy, now string) {
	window := int(math.Ceil(float64(a.limit.Burst) / a.limit.PerSecond))
	return fmt.Sprintf("%q;q=%d;w=%d", a.limit.Name, a.limit.Burst, window), fmt.Sprintf("%q;r=%d;t=%d", a.limit.Name, a.Left, int(math.Ceil(a.Wait.Seconds())))
}

// Limits are those of the API.
type Limits struct {
	// Address counts what comes from one address, credentials or not; User what
	// comes from one user, and Token what comes with one token.
	Address, User, Token *Limiter
}

// NewLimits allows each user and each token so many requests a second, four
// times as many at once, and an address, behind which an office may be, four
// times either.
func NewLimits(perSecond float64) *Limits {
	of := func(name string, times float64) *Limiter {
		return NewLimiter(Limit{Name: name, PerSecond: perSecond * times, Burst: int(math.Ceil(4 * perSecond * times))}, nil)
	}
	return &Limits{Address: of("address", 4), User: of("user", 1), Token: of("token", 1)}
}

// Len is how many callers it remembers.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.order.Len()
}
