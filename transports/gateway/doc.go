// Package gateway runs adapters against the bus: it answers the providers'
// webhooks, polls where there are none, tells providers where to deliver, and
// reports how each channel fares. It knows no provider and no database.
//
// # What is promised
//
// A provider gets its 2xx, and a polling cursor moves, only after the events
// are durable on the bus, and after the blobs that they refer to. Whatever
// stands in the way is answered with 503, or ends the poll, so that the
// provider delivers again: an event may be published twice, which the database
// recognises, and is never lost. That holds through a crash at any point.
//
// # Who does what
//
// Every replica of the gateway answers webhooks for every channel. Connecting,
// polling and checking a channel is done by one replica at a time: the one that
// holds the channel's lease on the bus. A replica that loses its lease, or
// cannot renew it in time, stops polling at once; another continues from the
// durable cursor. The lease keeps providers from being asked twice. It is not
// what keeps events from being stored twice. Replicas say on
// the bus that they are here, and none holds more than its share of the channels;
// one that has more leaves some to who came.
//
// # What webhooks missed
//
// Where a provider can list what it has, the holder of the lease compares that
// with what came: at the times the adapter names, when its shift begins, after
// something was wrong, and when somebody asks. All that is listed since the last
// success, with an overlap, is published again; the database knows what it has. A
// run that ends in the middle moves nothing and is repeated as a whole. A replica
// that refused a webhook leaves a note on the bus as soon as that takes it, which
// counts as something wrong.
//
// # Where channels come from
//
// The gateway follows the bus's projection of the channels and needs nothing
// else to start. A channel that appears, changes (its Version rises), is paused
// or disappears takes effect without a restart and without touching others. A
// paused channel, and one whose adapter cannot be built, answers 503: its
// provider keeps what it holds.
//
// # What a failure does to a channel
//
// Refused credentials, and settings that no adapter accepts, make a channel
// need attention: it rests until its Version changes. Everything else degrades
// it and is tried again for ever, with growing, jittered pauses.
package gateway
