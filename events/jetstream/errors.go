package jetstream

import "errors"

// Errors that tell the caller what to do; test with [errors.Is].
var (
	// ErrBackPressure means the stream or the queue in front of it is full:
	// nothing was stored, ask the provider to come back later.
	ErrBackPressure = errors.New("bus is full")
	// ErrTooLarge means the event cannot fit, now or later.
	ErrTooLarge = errors.New("event is too large for the bus")
	// ErrInvalid means the event or name cannot be put on the bus as it is.
	ErrInvalid = errors.New("not valid on the bus")
	// ErrUnavailable means NATS did not confirm: the event may or may not be
	// stored. Offering it again is always right.
	ErrUnavailable = errors.New("bus is unavailable")
	// ErrClosed means the bus or reader was closed.
	ErrClosed = errors.New("bus is closed")
	// ErrNotFound means there is no such record, cursor or channel.
	ErrNotFound = errors.New("not found on the bus")
	// ErrPartitions means the streams were made for another partition count.
	ErrPartitions = errors.New("partition count differs")
	// ErrVersion means the NATS server is too old.
	ErrVersion = errors.New("NATS server is too old")
	// ErrReplaced means the stream is not the one that was read before: deleted
	// and made again, or restored from a backup that ends earlier. Reading on
	// would skip records.
	ErrReplaced = errors.New("stream was replaced")
	// ErrReset means the facts between the resume point and now are no longer
	// kept, or belong to a stream that was replaced: load the state anew.
	ErrReset = errors.New("resume point is past retention")
	// ErrLeaseHeld means that somebody else holds the lease, or may still.
	ErrLeaseHeld = errors.New("lease is held")
	// ErrLeaseLost means this holder's lease is over.
	ErrLeaseLost = errors.New("lease is lost")
)
