package jetstream

import "time"

// Observer is told what the bus does, for metrics. Any func may be nil; all are
// called from the bus's own goroutines and must return quickly.
type Observer struct {
	// Published reports one exchange with JetStream on a stream: how many
	// events or facts went together, whether as an atomic batch (otherwise as one
	// message), how long until JetStream answered, and the error that all of them
	// share, if any.
	Published func(stream string, messages int, atomic bool, took time.Duration, err error)
	// Connected reports that the connection came up, for the first time or again.
	Connected func()
	// Disconnected reports that the connection was lost.
	Disconnected func(err error)
}

func (o Observer) published(stream string, messages int, atomic bool, took time.Duration, err error) {
	if o.Published != nil {
		o.Published(stream, messages, atomic, took, err)
	}
}

func (o Observer) connected() {
	if o.Connected != nil {
		o.Connected()
	}
}

func (o Observer) disconnected(err error) {
	if o.Disconnected != nil {
		o.Disconnected(err)
	}
}
