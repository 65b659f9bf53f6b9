package gateway

import "time"

// Limits bound what one request, channel or provider may cost. A zero field
// means its default.
type Limits struct {
	// Body is the largest webhook body in bytes; larger ones are answered 413.
	// Default 1 MiB: Telegram's and Twilio's callbacks stay far below.
	Body int64
	// Header is the largest sum of header names and values in bytes; larger ones
	// are answered 431. Default 32 KiB.
	Header int
	// BodyTime is how long a webhook's body may take to arrive, after which it is
	// answered 408. Default 10 s.
	BodyTime time.Duration
	// InFlight is how many webhooks are worked on at once; one more is answered
	// 503. With Body it bounds memory. Default 512.
	InFlight int
	// Event is the largest event in bytes of JSON that travels on the bus with
	// its raw payload; a larger one leaves the payload in the blob storage.
	// Default 256 KiB.
	Event int
	// Publish is how long one call may wait for the bus and the blob storage.
	// Default 10 s, below the 15 s after which Twilio gives up
	// (https://www.twilio.com/docs/usage/webhooks/webhooks-faq).
	Publish time.Duration
	// Drain is how long in-flight work may take to end at shutdown. Default 20 s.
	Drain time.Duration

	// Lease is how long a replica that went silent keeps a channel; others ask for
	// it three times as often, and as often it is renewed. Default 10 s.
	Lease time.Duration
	// Check is the mean time between two questions to the provider about a
	// channel. Default 1 min.
	Check time.Duration
	// Call is how long one Connect or Check may take. Default 30 s.
	Call time.Duration
	// Settled is how long a poll must have lasted without a word before an
	// earlier failure counts as overcome. Default 30 s.
	Settled time.Duration
	// FirstPause and LongestPause bound the pauses between attempts. Defaults 1 s
	// and 1 min.
	FirstPause   time.Duration
	LongestPause time.Duration
}

// withDefaults fills in what is zero.
func (l Limits) withDefaults() Limits {
	orElse(&l.Body, 1<<20)
	orElse(&l.Header, 32<<10)
	orElse(&l.BodyTime, 10*time.Second)
	orElse(&l.InFlight, 512)
	orElse(&l.Event, 256<<10)
	orElse(&l.Publish, 10*time.Second)
	orElse(&l.Drain, 20*time.Second)
	orElse(&l.Lease, 10*time.Second)
	orElse(&l.Check, time.Minute)
	orElse(&l.Call, 30*time.Second)
	orElse(&l.Settled, 30*time.Second)
	orElse(&l.FirstPause, time.Second)
	orElse(&l.LongestPause, time.Minute)
	return l
}

// orElse sets *v to fallback when it is zero.
func orElse[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}
