// Package jetstream is all of NATS: subjects, streams, publishing, reading and
// the embedded server. No other package imports a NATS library.
//
// What is promised:
//
//   - [Bus.Publish] returns nil only once every event is durable. An error says
//     nothing about whether the event was stored: the provider sends it again,
//     and the database recognises the copy. Nothing is dropped to make room; a
//     full stream answers [ErrBackPressure].
//   - [Reader] delivers a partition in stream order, each record once per reader
//     and whole frames at a time, across reconnects and server restarts. It
//     acknowledges nothing: whoever reads keeps the checkpoint.
//   - [FactLog] stores each fact once and keeps order. A [FactReader] delivers a
//     tenant's facts in that order, each once, from any [Place] that is kept.
//   - Channel projections never go back to an older version, and a [Lease] has
//     at most one holder at any time whatever the wall clocks say.
//   - Wake-ups may be lost.
//
// Events that wait together are stored as one message, a frame, so that they
// share the cost of a durable write: see [Record]. A sequence number names a
// frame, the index an event in it.
//
// Each partition is a stream of its own, so that its sequence numbers are
// contiguous and a gap means that somebody deleted a message by hand.
package jetstream
